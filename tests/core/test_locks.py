"""The lock of a run folder: one process at a time and all that it started, however they end."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import fedmed
from fedmed.core import locks
from fedmed.core.errors import InputError

HOLDER = """
import subprocess, sys
from pathlib import Path
from fedmed.core import locks
with locks.held(Path(sys.argv[1])):
    wait = [sys.executable, "-c", "import time; time.sleep(60)"]
    children = [subprocess.Popen(wait, close_fds=how == "closed", stdout=subprocess.DEVNULL) for how in sys.argv[2:]]
    print(*(child.pid for child in children), flush=True)
    sys.stdin.read()
print("let go", flush=True)
"""

Start = Callable[..., tuple[subprocess.Popen[str], list[int]]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a process that holds the lock until its input ends, and its own children; these and their ids."""
    begun: list[psutil.Process] = []

    def started(*children: str) -> tuple[subprocess.Popen[str], list[int]]:
        environment = {**os.environ, "PYTHONPATH": str(Path(fedmed.__path__[0]).parent)}
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path), *children],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        begun.append(psutil.Process(process.pid))
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        begun.extend(psutil.Process(pid) for pid in pids)
        return process, pids

    yield started
    for each in begun:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def refusal(run: Path) -> str:
    with pytest.raises(InputError) as caught, locks.held(run):
        pass
    return str(caught.value)


def is_free(run: Path) -> bool:
    with locks.held(run):
        return True


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_second_process_is_refused_and_told_who_is_first(start: Start, tmp_path: Path) -> None:
    process, _ = start()
    assert refusal(tmp_path) == (
        f"{tmp_path} is still running (process {process.pid}); wait for its end, or end it first."
    )
    assert process.communicate("")[0] == "let go\n"
    assert is_free(tmp_path)


def test_it_is_free_again_when_its_holder_was_killed(start: Start, tmp_path: Path) -> None:
    process, _ = start()
    refusal(tmp_path)
    process.kill()
    process.wait()
    assert is_free(tmp_path)


def test_a_child_that_outlives_its_parent_still_holds_it(start: Start, tmp_path: Path) -> None:
    process, (child,) = start("open")
    told = refusal(tmp_path)
    assert all(str(pid) in told for pid in (process.pid, child))
    process.kill()
    process.wait()
    assert f"(process {child})" in refusal(tmp_path)
    os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while not has_ended(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_free(tmp_path)


def test_so_it_does_when_its_parent_has_let_go(start: Start, tmp_path: Path) -> None:
    process, (child,) = start("open")
    process.communicate("")
    assert f"(process {child})" in refusal(tmp_path)


def test_a_child_without_its_parents_files_does_not(start: Start, tmp_path: Path) -> None:
    process, _ = start("closed")
    process.kill()
    process.wait()
    assert is_free(tmp_path)


def test_it_is_let_go_at_the_end_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="oh"), locks.held(tmp_path):
        raise RuntimeError("oh")
    assert is_free(tmp_path)
    assert is_free(tmp_path)


def test_runs_do_not_hinder_each_other(tmp_path: Path) -> None:
    for name in ("run-001", "run-002"):
        (tmp_path / name).mkdir()
    with locks.held(tmp_path / "run-001"):
        assert is_free(tmp_path / "run-002")
        assert "run-001 is still running" in refusal(tmp_path / "run-001")  # be it in the same process


def test_a_link_to_a_run_is_that_run(start: Start, tmp_path: Path) -> None:
    process, _ = start()
    (tmp_path / "link").symlink_to(tmp_path)
    assert f"(process {process.pid})" in refusal(tmp_path / "link")


def test_a_look_at_a_lock_neither_takes_nor_makes_it(start: Start, tmp_path: Path) -> None:
    assert not locks.is_held(tmp_path)
    assert not (tmp_path / locks.LOCK).exists()
    process, _ = start()
    assert locks.is_held(tmp_path)
    refusal(tmp_path)  # the look has not taken it
    assert process.communicate("")[0] == "let go\n"
    assert not locks.is_held(tmp_path)
    assert is_free(tmp_path)


def test_a_look_follows_no_link(start: Start, tmp_path: Path) -> None:
    start()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / locks.LOCK).symlink_to(tmp_path / locks.LOCK)
    assert not locks.is_held(tmp_path / "other")
