"""The runs of a study beside one another, as many as there is room for: made once, gone on with where cut off."""

import os
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import psutil

from fedmed.analysis.study.study_cells import Cell
from fedmed.core.errors import InputError, RunFailed
from fedmed.core.process_memory import memory_of
from fedmed.environments.gpus import count_gpus
from fedmed.environments.pool import Pool
from fedmed.experiment import Experiment
from fedmed.runs import study_runs
from fedmed.runs.run_folder import RunFolder

LOOK_S = 0.2
"""Seconds between two looks at the runs."""

MEMORY_S = 2.0
"""Seconds between two looks at their memory, each of which reads much of /proc."""

FREE = 0.8
"""The share of the free memory that runs may take unless the user says otherwise."""

State = Literal["waiting", "running", "done", "failed"]
States = Mapping[str, State]
"""The state of each cell by its name."""


class Place(NamedTuple):
    """The script that makes a run, and the folder of run folders and logs; ``force`` makes anew what is there."""

    job: Path
    artifacts: Path
    force: bool = False


class CellOutcomes(NamedTuple):
    """The finished runs and the sentences on those that failed, by the names of the cells."""

    runs: dict[str, RunFolder]
    failures: dict[str, str]


Running = dict[str, tuple[Cell, "subprocess.Popen[bytes]"]]
"""The processes of the runs that go on, by the names of their cells."""


class Show(Protocol):
    """Shows how far the cells are: their states, and the sentences on what has just ended."""

    def __call__(self, states: States, told: Sequence[str]) -> object: ...


@dataclass
class Room:
    """The runs that this machine has room for beside one another.

    Where memory is limited the first run goes alone until it has ended, and the most that a run has taken tells how
    many of them fit.

    Args:
        most: runs, whatever they take.
        memory: bytes for all runs; None is no limit.
        cores: that are shared out among the runs.
    """

    most: int
    memory: int | None = None
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    peak: int = 0
    measured: bool = False
    _looked: float = 0.0

    @classmethod
    def of(cls, workers: int | None, gigabytes: float | None) -> "Room":
        """Room for so many runs, or one a core, in so many GB, or in most of the free memory where neither is given.

        Of runs on a GPU, whose memory is not looked at, one at a time unless the number is given.
        """
        cores = 1 if count_gpus() else len(os.sched_getaffinity(0))
        free = None if workers else int(FREE * psutil.virtual_memory().available)
        return cls(workers or cores, free if gigabytes is None else int(gigabytes * 1e9))

    @property
    def now(self) -> int:
        """The number of runs for which there is room, at least 1."""
        if self.memory is None or (self.measured and not self.peak):
            return self.most
        return max(1, min(self.most, self.memory // self.peak)) if self.measured else 1

    @property
    def share(self) -> int:
        """The cores of a run, at least 1."""
        return max(1, self.cores // (self.now if self.measured else self.most))

    def look(self, pids: Sequence[int]) -> None:
        """Measure the memory of the running processes, now and then."""
        if self.memory is not None and time.monotonic() - self._looked > MEMORY_S:
            self._looked = time.monotonic()
            self.peak = max(self.peak, *map(memory_of, pids))


def finished_cells(cells: Sequence[Cell], place: Place) -> dict[str, RunFolder]:
    """The runs that are there already, by the names of their cells."""
    if place.force:
        return {}
    found = {cell.name: study_runs.finished(place.artifacts, cell.experiment) for cell in cells}
    return {name: run for name, run in found.items() if run is not None}


def run_cells(cells: Sequence[Cell], place: Place, room: Room, show: Show) -> CellOutcomes:
    """Make the runs that are missing; one that fails does not keep the others from being made.

    Whatever ends this function, such as Ctrl-C, ends the runs that go on, each of which cleans up.
    """
    outcomes = CellOutcomes(finished_cells(cells, place), {})
    waiting = deque(cell for cell in cells if cell.name not in outcomes.runs)
    running: Running = {}
    try:
        while waiting or running:
            while waiting and len(running) < room.now:
                cell = waiting.popleft()
                running[cell.name] = (cell, _begun(cell, place, room.share))
            show(_states(cells, running, outcomes), [])
            time.sleep(LOOK_S)
            room.look([process.pid for _, process in running.values()])
            told = _take_ended(running, place, outcomes)
            room.measured |= bool(told)
            show(_states(cells, running, outcomes), told)
    finally:
        _end(running)
    return outcomes


def _end(running: Running) -> None:
    """End the runs that go on, and wait until each has cleaned up."""
    for _, process in running.values():
        process.terminate()
    for _, process in running.values():
        process.wait()


def _take_ended(running: Running, place: Place, outcomes: CellOutcomes) -> list[str]:
    """Take in the runs that have ended; a sentence on each."""
    ended = [cell for cell, process in running.values() if process.poll() is not None]
    return [_ended(cell, running.pop(cell.name)[1].returncode, place, outcomes) for cell in ended]


def _begun(cell: Cell, place: Place, cores: int) -> "subprocess.Popen[bytes]":
    """The process of a run on its share of the cores, which goes on where it was cut off."""
    arguments = study_runs.begun_or_new(cell.experiment, cell.arguments, place.artifacts, force=place.force)
    shared = {**os.environ, "OMP_NUM_THREADS": str(cores)}
    return study_runs.begin(
        cell.name, [*arguments, *shared_out(cell.experiment, cores)], place.job, place.artifacts, shared
    )


def shared_out(experiment: Experiment, cores: int) -> list[str]:
    """The options of job.py by which a pool takes so many cores, without those that the experiment states itself."""
    pool, sites = experiment.environment, experiment.training.n_clients
    if not isinstance(pool, Pool):
        raise TypeError(f"expected the environment pool; found {pool.name}")
    on_cores = not pool.gpus()
    workers = pool.workers or (min(sites, cores) if on_cores else pool.count(sites))
    found = ["--workers", str(workers)] if on_cores and pool.workers is None else []
    threads = max(1, cores // workers)
    return [*found, *(["--cpu_threads", str(threads)] if experiment.performance.cpu_threads is None else [])]


def _ended(cell: Cell, code: int, place: Place, outcomes: CellOutcomes) -> str:
    """Take in a run that has ended; a sentence on it."""
    try:
        study_runs.expect_success(cell.name, code, place.artifacts)
        outcomes.runs[cell.name] = study_runs.left_by(cell.experiment, place.artifacts)
        return f"{outcomes.runs[cell.name].name} is finished"
    except (InputError, RunFailed) as error:
        outcomes.failures[cell.name] = str(error)
        return f"failed: {error}"


def _states(cells: Sequence[Cell], running: Mapping[str, object], outcomes: CellOutcomes) -> dict[str, State]:
    def state(name: str) -> State:
        if name in running:
            return "running"
        return "done" if name in outcomes.runs else "failed" if name in outcomes.failures else "waiting"

    return {cell.name: state(cell.name) for cell in cells}
