"""A worker process of a pool: one network and one optimiser, through which the sites of its share pass.

It gets messages from the launcher through a pipe and answers there; weights travel as files, which the launcher maps.
"""

import io
import os
import select
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from fedmed.core.errors import reason_of
from fedmed.core.messages import Answer
from fedmed.core.settings import Data
from fedmed.core.timing import TIMING
from fedmed.core.weights import Weights
from fedmed.environments.step_progress import Steps
from fedmed.environments.worker_pool.event_file import EventFile
from fedmed.environments.worker_pool.worker_messages import (
    Answered,
    Begins,
    Failed,
    GiveOwn,
    Message,
    Progress,
    ScoreModel,
    WorkerSetup,
)
from fedmed.experiment import Experiment
from fedmed.site.local_training import LocalSite
from fedmed.site.site import Site
from fedmed.site.site_events import SiteEvents
from fedmed.site.state_memory import StateMemory
from fedmed.site.workbench import Workbench


class Worker:
    """Answers the launcher's messages until its pipe ends."""

    def __init__(self, setup: WorkerSetup, pipe: Connection) -> None:
        self.setup, self.pipe = setup, pipe
        text = setup.experiment.read_text(encoding="utf-8")
        self.experiment = Experiment.from_json(text).with_data(Data.of_this_site())
        self._bench: Workbench | None = None
        self._memory = StateMemory(setup.state_bytes)
        self._sites: dict[str, tuple[Site, EventFile]] = {}
        self._next_report, self._files = 0.0, 0

    def work(self) -> None:
        """Take one message after the other."""
        while True:
            try:
                message = self.pipe.recv()
            except EOFError:  # the launcher is gone, or wants no more
                return
            weights = None if isinstance(message, GiveOwn) or message.weights is None else _mapped(message.weights)
            for name in message.sites:
                self.pipe.send(Begins(name))
                try:
                    self.pipe.send(self._done(message, weights or {}, name))
                except Exception as error:
                    self._sites.pop(name, None)  # it goes on from its last whole state, not from half a round
                    self.pipe.send(Failed(name, reason_of(error)))

    def _done(self, message: Message, weights: Weights, name: str) -> Answered:
        site, events = self._site(name)
        if isinstance(message, GiveOwn):
            own = dict(site.local.own_model_after(message.rounds))
            return Answered(name, Answer(), self._written(own, name))
        if isinstance(message, ScoreModel):
            site.local.load(weights)
            return Answered(name, Answer(metrics=site.local.evaluate()), None)
        answer = site.answer(replace(message.question, weights=weights))
        events.flush()
        if self.setup.sites > 1:
            site.local.park()
        return Answered(name, replace(answer, update={}), self._written(answer.update, name))

    def _written(self, arrays: Any, name: str) -> Path | None:
        if not arrays:
            return None
        self._files += 1  # the file of before may still be mapped
        path = self.setup.arrays / f"{name}-{os.getpid()}-{self._files}.pt"
        written = io.BytesIO()  # torch's own writer has other words than the system's where the disk is full
        torch.save({entry: torch.as_tensor(values) for entry, values in arrays.items()}, written)
        path.write_bytes(written.getbuffer())
        return path

    def _site(self, name: str) -> tuple[Site, EventFile]:
        """A site of this worker, made when it is first asked for."""
        if name not in self._sites:
            self._bench = self._bench or Workbench(self.experiment)
            job, how = self.setup.job_id, {"bench": self._bench, "memory": self._memory, "clock": time.monotonic}
            local = LocalSite(self.experiment, name, job, **how)  # type: ignore[arg-type]
            local.on_step = self._reporter(name)
            events = EventFile(self.setup.events / name)
            self._sites[name] = (
                Site(local, SiteEvents(name, job, events), lambda line: print(f"{name}: {line}")),
                events,
            )
        return self._sites[name]

    def _reporter(self, name: str) -> Callable[[int, int], None]:
        def report(done: int, of: int) -> None:
            if done == of or time.monotonic() >= self._next_report:
                self._next_report = time.monotonic() + TIMING.step_report_s
                self.pipe.send(Progress(name, Steps(done, of)))

        return report


def _mapped(path: Path) -> Weights:
    """The weights of a file, of a question or of a model."""
    content = torch.load(path, mmap=True, weights_only=True)
    weights: Weights = content.get("model", content)
    return weights


def work(setup: WorkerSetup, pipe: Connection, variables: Mapping[str, str], log: Path) -> None:
    """Work for the launcher at the other end of the pipe, in a process that was forked for it."""
    os.setsid()  # Ctrl-C reaches the launcher alone, which then ends the workers
    threading.Thread(target=_end_with, args=(pipe.fileno(),), daemon=True).start()
    os.environ.update(variables)
    torch.set_num_threads(int(variables["OMP_NUM_THREADS"]))
    with log.open("ab", buffering=0) as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    Worker(setup, pipe).work()


def _end_with(pipe: int) -> None:
    """End this process as soon as the launcher has, also in the middle of a round, which another one repeats."""
    launcher = select.poll()
    launcher.register(pipe, select.POLLHUP)
    launcher.poll()
    os._exit(1)
