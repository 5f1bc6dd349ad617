"""Ending a process tree, also what has detached itself, is deaf to SIGTERM or has lost its parent."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from fedmed.environments.processes import ProcessTree

SLEEP = (
    "import pathlib, os, signal, subprocess, sys, time; {act}; pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))"
)
WAIT = "; time.sleep(60)"
DEAF = SLEEP.format(act="signal.signal(signal.SIGTERM, signal.SIG_IGN)") + WAIT
POLITE = (
    SLEEP.format(act="signal.signal(signal.SIGTERM, lambda *_: (open(sys.argv[1] + '.bye', 'w'), sys.exit()))") + WAIT
)
PARENT = "import subprocess, sys, time; {start}; time.sleep({life})"
START = "subprocess.Popen([sys.executable, '-S', '-c', sys.argv[2], sys.argv[1]], start_new_session=True)"


@pytest.fixture
def grow(tmp_path: Path) -> Iterator[Callable[..., tuple[ProcessTree, int]]]:
    """Starts a root with a child in a session of its own; answers with the tree and the child's number."""
    started: list[int] = []

    def make(child: str, life: float = 60) -> tuple[ProcessTree, int]:
        mark = tmp_path / "child"
        code = PARENT.format(start=START, life=life)
        root = subprocess.Popen([sys.executable, "-S", "-c", code, str(mark), child])
        started.append(root.pid)
        tree = ProcessTree(root)
        until(lambda: mark.exists() and mark.read_text() != "")
        started.append(int(mark.read_text()))
        return tree, started[-1]

    yield make
    for number in started:
        if alive(number):
            psutil.Process(number).kill()


def until(there: Callable[[], bool], patience_s: float = 15) -> None:
    deadline = time.monotonic() + patience_s
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(number: int) -> bool:
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_child_in_its_own_session_that_is_deaf_to_sigterm_is_ended(
    grow: Callable[..., tuple[ProcessTree, int]],
) -> None:
    tree, child = grow(DEAF)
    assert alive(child)
    tree.end(patience_s=0.3)
    assert not alive(tree.root.pid)
    assert not alive(child)
    assert tree.root.returncode is not None


def test_a_child_that_has_outlived_its_parent_is_ended(grow: Callable[..., tuple[ProcessTree, int]]) -> None:
    tree, child = grow(DEAF, life=0.5)
    tree.look()
    until(lambda: tree.root.poll() is not None)
    assert alive(child)
    tree.end(patience_s=0.3)
    assert not alive(child)


def test_a_process_is_asked_before_it_is_forced(grow: Callable[..., tuple[ProcessTree, int]], tmp_path: Path) -> None:
    tree, child = grow(POLITE)
    tree.end(patience_s=5)
    assert not alive(child)
    assert (tmp_path / "child.bye").exists()


def test_a_strangers_process_is_left_alone(grow: Callable[..., tuple[ProcessTree, int]]) -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"]) as stranger:
        tree, _ = grow(POLITE)
        tree.end(patience_s=5)
        assert stranger.poll() is None
        stranger.kill()


def test_ending_what_has_ended_is_harmless() -> None:
    root = subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(3)"])
    tree = ProcessTree(root)
    until(lambda: psutil.Process(root.pid).status() == psutil.STATUS_ZOMBIE)
    tree.end(patience_s=1)
    assert root.returncode is not None
