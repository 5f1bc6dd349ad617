"""The launcher's side of a pool's worker processes: their shares of the sites, their answers, their deaths."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from fedmed.environments.worker_pool import fork_server
from fedmed.environments.worker_pool.worker import work
from fedmed.environments.worker_pool.worker_messages import (
    Answered,
    Begins,
    Failed,
    Message,
    Progress,
    WorkerSetup,
)

Event = Answered | Failed | Progress


def shares_of(cases: Mapping[str, int], workers: int) -> list[list[str]]:
    """The sites of each worker: by falling number of cases, each to whoever has the fewest so far (LPT rule).

    Graham 1969: the longest share is at most 4/3 of the best possible one.
    """
    shares: list[list[str]] = [[] for _ in range(workers)]
    loads = [0] * workers
    for site in sorted(cases, key=lambda name: (-cases[name], name)):
        least = loads.index(min(loads))
        shares[least].append(site)
        loads[least] += max(1, cases[site])
    return [sorted(share) for share in shares]


@dataclass
class _Worker:
    """One process, the sites that it still has to do of its last message, and the one that it is at."""

    setup: WorkerSetup
    sites: frozenset[str]
    variables: Mapping[str, str]
    process: ForkServerProcess | None = None
    pipe: Connection | None = None
    message: Message | None = None
    left: deque[str] = field(default_factory=deque)
    at: str | None = None


class Workers:
    """Worker processes, each started when it has something to do.

    Args:
        setup: of each worker, but for its number of sites.
        shares: the sites of each worker.
        variables: the environment variables of each worker.
        log: the file that gets what they print.
        repeats: True where a site whose worker died is asked again; else it has failed.
        keep_memory: True where they keep what a training step frees for the next one.
    """

    def __init__(
        self,
        setup: WorkerSetup,
        shares: Sequence[Sequence[str]],
        variables: Sequence[Mapping[str, str]],
        log: Path,
        *,
        repeats: bool,
        keep_memory: bool,
    ) -> None:
        self._log, self._repeats = log, repeats
        self._context = fork_server.start(keep_memory=keep_memory)
        setups = [replace(setup, sites=len(share)) for share in shares]
        self._workers = [_Worker(*each) for each in zip(setups, map(frozenset, shares), variables, strict=True)]
        self._died: dict[str, int] = {}

    def start(self) -> None:
        """Start the processes."""
        for worker in self._workers:
            self._start(worker)

    def _start(self, worker: _Worker) -> None:
        ours, theirs = Pipe()
        how = (worker.setup, theirs, dict(worker.variables), self._log)
        worker.process = self._context.Process(target=work, args=how, daemon=True)
        worker.process.start()
        theirs.close()
        worker.pipe = ours

    def send(self, sites: Sequence[str], message: Callable[[tuple[str, ...]], Message]) -> None:
        """Hand every worker a message for those of its sites that are among ``sites``."""
        self._died = {}
        for worker in self._workers:
            own = tuple(site for site in sites if site in worker.sites)
            if own:
                self._hand(worker, message(own))

    def _hand(self, worker: _Worker, message: Message) -> None:
        if worker.pipe is None or worker.process is None or not worker.process.is_alive():
            self._start(worker)
        assert worker.pipe is not None
        worker.message, worker.left, worker.at = message, deque(message.sites), None
        with contextlib.suppress(OSError):  # of one that has died since; waiting for it finds that
            worker.pipe.send(message)

    def wait(self, seconds: float) -> Iterator[Event]:
        """The events so far, after waiting at most so long for the first one."""
        pipes = {worker.pipe: worker for worker in self._workers if worker.pipe is not None}
        for pipe in wait(list(pipes), seconds):
            yield from self._read(pipes[pipe])  # type: ignore[index]

    def _read(self, worker: _Worker) -> Iterator[Event]:
        assert worker.pipe is not None
        try:
            event: Any = worker.pipe.recv()
        except (EOFError, OSError):
            yield from self._bury(worker)
            return
        if isinstance(event, Begins):
            worker.at = event.site
            return
        if isinstance(event, Answered | Failed):
            worker.left.remove(event.site)
            worker.at = None
        yield event

    def _bury(self, worker: _Worker) -> Iterator[Event]:
        """A worker has died: start another one, for the sites that it had still to do."""
        self._end(worker)
        message, left = worker.message, list(worker.left)
        if not left or message is None:
            return
        guilty = worker.at or left[0]
        self._died[guilty] = self._died.get(guilty, 0) + 1
        if not self._repeats or self._died[guilty] > 1:
            left.remove(guilty)
            yield Failed(guilty, "its worker process died without a word (killed, or out of memory?)")
        if left:
            self._hand(worker, replace(message, sites=tuple(left)))

    def drop_unfinished(self) -> None:
        """Nobody waits any longer for what the workers are at: end those that are at something."""
        for worker in self._workers:
            if worker.left:
                self._end(worker)

    def end(self) -> None:
        """End all workers."""
        for worker in self._workers:
            self._end(worker)

    def _end(self, worker: _Worker) -> None:
        if worker.process is not None:
            worker.process.kill()  # whatever a site must not lose is written whole or not at all
            worker.process.join()
        if worker.pipe is not None:
            worker.pipe.close()
        worker.process, worker.pipe, worker.at = None, None, None
