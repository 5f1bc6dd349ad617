"""A run in a pool: the server in this process, its sites in the workers."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch

from fedmed.core.lines import whole_lines
from fedmed.core.messages import Answer, Question
from fedmed.core.names import EVENTS, LOG, SERVER, SITES
from fedmed.core.timing import TIMING
from fedmed.core.weights import Weights, write_tensors
from fedmed.data.datalist import datalist_path, open_datalist
from fedmed.environments.base import RoundWatcher
from fedmed.environments.shared_machine import site_variables
from fedmed.environments.step_progress import Steps
from fedmed.environments.worker_pool.pool_cross_site import score_all_models
from fedmed.environments.worker_pool.worker_messages import Answered, Ask, Failed, Progress, WorkerSetup
from fedmed.environments.worker_pool.workers import Workers, shares_of
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.server.federation_server import FederationServer, ServerFiles
from fedmed.server.plan import ServerPlan


class PoolChoice(Protocol):
    """The options of a pool that a run needs."""

    @property
    def state_gb(self) -> float: ...

    def count(self, sites: int) -> int: ...

    def gpus(self) -> list[int]: ...


def run_pool(experiment: Experiment, choice: PoolChoice, run: Path, folder: RunFolder, watcher: RoundWatcher) -> None:
    """Run an experiment to its end, with the server's files in the folder ``run``.

    Raises:
        RuntimeError: it cannot go on; the message says why.
    """
    arrays = run / "arrays"
    arrays.mkdir()
    model = experiment.task.first_model(experiment.training.seed)
    plan = ServerPlan.of(experiment, experiment.algorithm.parts(model).shared)
    files = ServerFiles(run, folder.path / SITES / SERVER)
    with (folder.path / LOG).open("ab") as lines, _workers(experiment, choice, run, arrays, folder) as workers:

        def report(line: str) -> None:
            lines.write(f"server: {line}\n".encode())
            lines.flush()

        server = FederationServer(plan, files, model.state_dict, time.monotonic(), report)
        try:
            PoolRun(experiment, server, workers, arrays, watcher).follow()
        finally:
            server.leave()
        if experiment.training.cross_site:
            score_all_models(experiment, workers, run, arrays)


@contextmanager
def _workers(
    experiment: Experiment, choice: PoolChoice, run: Path, arrays: Path, folder: RunFolder
) -> Iterator[Workers]:
    """The workers, which end with the block."""
    sites = experiment.training.sites
    count, gpus = choice.count(len(sites)), choice.gpus()
    dataset, lists = experiment.data.resolved()
    cases = {site: len(open_datalist(datalist_path(lists, site), dataset).training) for site in sites}
    file = run / "experiment.json"
    file.write_text(experiment.to_json(travelling=True), encoding="utf-8")
    shared = site_variables(experiment, count, run, folder)
    variables = [
        {**shared, **({"CUDA_VISIBLE_DEVICES": str(gpus[number % len(gpus)])} if gpus else {})}
        for number in range(count)
    ]
    setup = WorkerSetup(
        file, experiment.run_id or folder.name, folder.path / EVENTS, arrays, int(choice.state_gb * 1e9 / count), 0
    )
    repeats = not experiment.faults.spares(experiment.training.sites_per_round or len(sites))
    keep, log = experiment.performance.freed_memory == "keep", folder.path / LOG
    workers = Workers(setup, shares_of(cases, count), variables, log, repeats=repeats, keep_memory=keep)
    try:
        workers.start()
        yield workers
    finally:
        workers.end()


class PoolRun:
    """The server's questions go to the workers, what comes back to the server, and its records to the watcher."""

    def __init__(
        self, experiment: Experiment, server: FederationServer, workers: Workers, arrays: Path, watcher: RoundWatcher
    ) -> None:
        self.experiment, self.server, self.workers, self.arrays = experiment, server, workers, arrays
        self.watcher = watcher
        self._steps: dict[str, Steps] = {}
        self._known = 0  # bytes of the records that the watcher has

    def follow(self) -> None:
        """Follow the run to its end."""
        try:
            while question := self.server.next(self.experiment.training.sites, time.monotonic()):
                self._hand_on()
                self._ask(question)
                while not self.server.is_complete(time.monotonic()):
                    self._look()
                self.workers.drop_unfinished()
                self.server.close(time.monotonic())
        finally:
            self._hand_on()

    def _ask(self, question: Question) -> None:
        weights = None
        if question.weights:
            weights = self.arrays / "weights.pt"
            write_weights(question.weights, weights)
        travelling = replace(question, weights={})
        self.workers.send(question.sites, lambda sites: Ask(travelling, weights, sites))
        self._steps = {}

    def _look(self) -> None:
        for event in self.workers.wait(TIMING.follow_s):
            now = time.monotonic()
            if isinstance(event, Answered):
                self.server.take(event.site, with_arrays(event), now)
            elif isinstance(event, Failed):
                self.server.fail(event.site, event.why)
            elif isinstance(event, Progress):
                self._steps[event.site] = event.steps
        self.watcher.progress(self._steps)

    def _hand_on(self) -> None:
        lines, self._known = whole_lines(self.server.checkpoints.records, self._known)
        for line in lines:
            self.watcher.record(json.loads(line))


def with_arrays(event: Answered) -> Answer:
    """The answer with its update, which is read from its file where it is needed; the file itself is gone."""
    if event.arrays is None:
        return event.answer
    update: Weights = torch.load(event.arrays, mmap=True, weights_only=True)
    event.arrays.unlink()
    return replace(event.answer, update={name: values.numpy() for name, values in update.items()})


def write_weights(weights: Any, path: Path) -> None:
    """Write the weights of a question for the workers."""
    write_tensors(path, {name: torch.as_tensor(values) for name, values in weights.items()})
