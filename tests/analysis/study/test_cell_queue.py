"""Runs beside one another: how many, on how many cores, and the end of them all. A stand-in for job.py leaves a run."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from fedmed.analysis.study.cell_queue import Place, Room, States, run_cells, shared_out
from fedmed.analysis.study.study_cells import Cell
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder

Make = Callable[..., Experiment]

JOB = """
import os, pathlib, sys, time
artifacts = pathlib.Path(__file__).parent / "runs"
name = sys.argv[1]
(artifacts / f"{name}.pid").write_text(str(os.getpid()))
%s
(artifacts.parent / "ready" / f"{name}-001").rename(artifacts / f"{name}-001")
"""
WAITS = "while not (artifacts / 'go').exists(): time.sleep(0.02)"


def nothing(states: States, told: Sequence[str]) -> None: ...


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "runs").mkdir()
    (tmp_path / "job.py").write_text(JOB % "")
    return Place(tmp_path / "job.py", tmp_path / "runs")


@pytest.fixture
def make_cells(small_experiment: Make, tmp_path: Path) -> Callable[[int], list[Cell]]:
    """Cells whose run the stand-in will find ready."""

    def make(number: int) -> list[Cell]:
        cells = []
        for seed in range(number):
            experiment = small_experiment("--seed", str(seed), "--job_name", f"cell{seed}", "--env", "pool")
            run = RunFolder.create(tmp_path / "ready", f"cell{seed}")
            run.write_experiment(experiment)
            run.write_status("finished")
            cells.append(Cell("iid", "fedavg", "none", seed, (experiment.job_name,), experiment))
        return cells

    return make


def test_as_many_run_at_once_as_there_is_room_for(place: Place, make_cells: Callable[[int], list[Cell]]) -> None:
    place.job.write_text(JOB % WAITS)
    seen: list[int] = []

    def show(states: States, told: Sequence[str]) -> None:
        running = [name for name, state in states.items() if state == "running"]
        seen.append(len(running))
        if all((place.artifacts / f"{name}.pid").exists() for name in running):
            (place.artifacts / "go").touch()

    outcomes = run_cells(make_cells(5), place, Room(2), show)
    assert max(seen) == 2
    assert sorted(outcomes.runs) == [f"cell{number}" for number in range(5)]
    assert outcomes.failures == {}


def test_what_is_there_is_not_made_again_unless_it_is_forced(
    place: Place, make_cells: Callable[[int], list[Cell]]
) -> None:
    cells = make_cells(2)
    (place.artifacts.parent / "ready" / "cell0-001").rename(place.artifacts / "cell0-001")
    outcomes = run_cells(cells, place, Room(1), nothing)
    assert sorted(outcomes.runs) == ["cell0", "cell1"]
    assert not (place.artifacts / "cell0.pid").exists()
    forced = run_cells(cells, Place(place.job, place.artifacts, force=True), Room(1), nothing)
    assert sorted(forced.failures) == ["cell0", "cell1"]  # made anew, and the stand-in finds nothing ready


def test_one_that_fails_does_not_keep_the_others_from_being_made(
    place: Place, make_cells: Callable[[int], list[Cell]]
) -> None:
    place.job.write_text(JOB % "if name == 'cell0': sys.exit('no luck')\nif name == 'cell1': sys.exit(0)")
    told: list[str] = []
    outcomes = run_cells(make_cells(3), place, Room(2), lambda states, ended: told.extend(ended))
    assert list(outcomes.runs) == ["cell2"]
    log = place.artifacts / "cell0.log"
    assert outcomes.failures["cell0"] == f"cell0 ended with exit code 1 (no luck); its output is in {log}."
    assert outcomes.failures["cell1"] == f"job.py left no finished run cell1 in {place.artifacts}."
    assert len(told) == 3


def test_whatever_ends_the_queue_ends_its_runs(place: Place, make_cells: Callable[[int], list[Cell]]) -> None:
    place.job.write_text(JOB % WAITS)
    pids = [place.artifacts / f"cell{number}.pid" for number in range(2)]

    def show(states: States, told: Sequence[str]) -> None:
        if all(path.exists() and path.read_text() for path in pids):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cells(make_cells(3), place, Room(2), show)
    assert not any(psutil.pid_exists(int(path.read_text())) for path in pids)
    assert not (place.artifacts / "cell2.pid").exists()


def test_where_memory_is_limited_the_first_run_tells_how_many_fit() -> None:
    room = Room(8, memory=10_000_000_000, cores=16)
    assert (room.now, room.share) == (1, 2)  # alone until it has ended, with the cores that it will have
    room.look([os.getpid()])
    assert room.peak > 1_000_000
    room.peak, room.measured = 3_000_000_000, True
    assert (room.now, room.share) == (3, 5)
    room.peak = 100_000_000_000
    assert (room.now, room.share) == (1, 16)
    assert (Room(8, cores=4).now, Room(8, cores=4).share) == (8, 1)


def test_memory_is_looked_at_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    room, clock = Room(2, memory=1), [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    room.look([os.getpid()])
    first, room.peak = room.peak, 0
    room.look([os.getpid()])
    assert (first > 0, room.peak) == (True, 0)


def test_a_run_takes_its_share_of_the_cores_unless_the_study_says_otherwise(small_experiment: Make) -> None:
    def options(*arguments: str, cores: int) -> list[str]:
        return shared_out(small_experiment("--env", "pool", *arguments), cores)

    assert options(cores=1) == ["--workers", "1", "--cpu_threads", "1"]
    assert options(cores=8) == ["--workers", "2", "--cpu_threads", "4"]  # of two sites
    assert options("--workers", "1", cores=8) == ["--cpu_threads", "8"]
    assert options("--workers", "1", "--cpu_threads", "3", cores=8) == []
