"""Ending a process tree, also what has detached itself, is deaf to SIGTERM or has lost its parent."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from fedmed.environments.process_tree import ProcessTree

# Starts itself again, a level deeper and in a session of its own, until it is the last one, which behaves as told.
PROGRAM = """
import os, pathlib, signal, subprocess, sys, time
folder, deeper, manner, life = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4])

def say_goodbye(*_):
    time.sleep(0.3)
    (folder / "goodbye").touch()
    os._exit(0)

if deeper:
    again = [sys.executable, "-S", __file__, str(folder), str(deeper - 1), manner, "60"]
    subprocess.Popen(again, start_new_session=True)
else:
    signal.signal(signal.SIGTERM, signal.SIG_IGN if manner == "deaf" else say_goodbye)
    (folder / "last.part").write_text(str(os.getpid()))
    (folder / "last.part").rename(folder / "last")
time.sleep(life)
"""


@pytest.fixture
def grow(tmp_path: Path) -> Iterator[Callable[..., tuple[ProcessTree, int]]]:
    """Starts a tree of processes; answers with it and with the number of the last one, which is ready by then."""
    started: list[int] = []
    (tmp_path / "program.py").write_text(PROGRAM)

    def make(manner: str, deeper: int = 1, life: float = 60) -> tuple[ProcessTree, int]:
        program = [str(tmp_path / "program.py"), str(tmp_path), str(deeper), manner, str(life)]
        root = subprocess.Popen([sys.executable, "-S", *program])
        tree = ProcessTree(root)
        until((tmp_path / "last").exists)
        started.extend([root.pid, int((tmp_path / "last").read_text())])
        return tree, started[-1]

    yield make
    for number in started:
        with contextlib.suppress(psutil.NoSuchProcess):
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


@pytest.mark.parametrize("deeper", [1, 2], ids=["child", "grandchild"])
def test_one_in_its_own_session_that_is_deaf_to_sigterm_is_ended(
    grow: Callable[..., tuple[ProcessTree, int]], deeper: int
) -> None:
    tree, last = grow("deaf", deeper)
    assert alive(last)
    tree.end(patience_s=0.3)
    assert not alive(tree.root.pid)
    assert not alive(last)
    assert tree.root.returncode is not None


def test_one_that_has_outlived_its_parent_is_ended(grow: Callable[..., tuple[ProcessTree, int]]) -> None:
    tree, last = grow("deaf", life=0.5)
    tree.look()
    until(lambda: tree.root.poll() is not None)
    assert alive(last)
    tree.end(patience_s=0.3)
    assert not alive(last)


def test_a_process_is_asked_and_given_time_before_it_is_forced(
    grow: Callable[..., tuple[ProcessTree, int]], tmp_path: Path
) -> None:
    tree, last = grow("polite")
    tree.end(patience_s=10)
    assert not alive(last)
    assert (tmp_path / "goodbye").exists()


def test_a_strangers_process_is_left_alone(grow: Callable[..., tuple[ProcessTree, int]]) -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"]) as stranger:
        tree, _ = grow("deaf")
        tree.end(patience_s=0.3)
        assert stranger.poll() is None
        stranger.kill()


def test_ending_what_has_ended_is_harmless() -> None:
    root = subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(3)"])
    tree = ProcessTree(root)
    until(lambda: psutil.Process(root.pid).status() == psutil.STATUS_ZOMBIE)
    tree.end(patience_s=1)
    assert root.returncode is not None
