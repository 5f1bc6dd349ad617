"""Processes that take turns: never more at once than there are turns, and none is lost with a process that dies."""

import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedmed.core.turns import VARIABLE, make_turns, turn

SRC = Path(__file__).resolve().parents[2] / "src"
WORKER = """
import sys, time
from pathlib import Path
from fedmed.turns import turn
place, name, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
with turn():
    (place / name).touch()
    print(sum(1 for _ in place.glob("at-work-*")), flush=True)
    time.sleep(seconds)
    (place / name).unlink()
"""


def start(place: Path, name: str, seconds: float) -> subprocess.Popen[str]:
    variables = {"PYTHONPATH": str(SRC), VARIABLE: str(place / "turns")}
    command = [sys.executable, "-c", WORKER, str(place), f"at-work-{name}", str(seconds)]
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("at_once", [1, 2])
def test_no_more_than_the_turns_work_at_once_and_all_get_one(tmp_path: Path, at_once: int) -> None:
    make_turns(tmp_path / "turns", at_once)
    workers = [start(tmp_path, str(number), 0.4) for number in range(4)]
    seen = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    assert len(seen) == 4
    assert max(seen) <= at_once


def test_a_process_that_is_killed_gives_its_turn_back(tmp_path: Path) -> None:
    make_turns(tmp_path / "turns", 1)
    dies = start(tmp_path, "dies", 600)
    while not (tmp_path / "at-work-dies").exists():
        time.sleep(0.05)
    dies.kill()
    dies.wait()
    assert start(tmp_path, "next", 0).wait(timeout=60) == 0


def test_an_error_gives_the_turn_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_turns(tmp_path / "turns", 1)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "turns"))
    with pytest.raises(ValueError, match="mistake"), turn():
        raise ValueError("mistake")
    with turn():
        pass


def test_a_process_forked_during_a_turn_does_not_keep_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch's DataLoader forks its workers, which live on."""
    make_turns(tmp_path / "turns", 1)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "turns"))
    with turn():
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        child.start()
    try:
        assert start(tmp_path, "next", 0).wait(timeout=60) == 0
    finally:
        child.kill()


def test_without_turns_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with turn(), turn():
        pass
