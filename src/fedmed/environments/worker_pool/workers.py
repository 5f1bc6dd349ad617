"""The launcher's side of a pool's worker processes: their shares of the sites, their answers, their deaths."""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO, Any

from fedmed.core.code_version import REPOSITORY
from fedmed.environments.process_tree import ProcessTree
from fedmed.environments.worker_pool.worker_messages import (
    Answered,
    Ask,
    Begins,
    Failed,
    GiveOwn,
    Progress,
    ScoreModel,
    WorkerSetup,
)

Message = Ask | ScoreModel | GiveOwn
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

    setup: Path
    sites: frozenset[str]
    variables: Mapping[str, str]
    tree: ProcessTree | None = None
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
        scratch: a folder for their setups.
        log: gets what they print.
        repeats: True where a site whose worker died is asked again; else it has failed.
    """

    def __init__(
        self,
        setup: WorkerSetup,
        shares: Sequence[Sequence[str]],
        variables: Sequence[Mapping[str, str]],
        scratch: Path,
        log: IO[bytes],
        *,
        repeats: bool,
    ) -> None:
        self._log, self._repeats = log, repeats
        self._workers = [
            _Worker(
                self._written(replace(setup, sites=len(share)), scratch, number), frozenset(share), variables[number]
            )
            for number, share in enumerate(shares)
        ]
        self._died: dict[str, int] = {}

    def _written(self, setup: WorkerSetup, scratch: Path, number: int) -> Path:
        path = scratch / f"worker-{number}.json"
        path.write_text(setup.to_json(), encoding="utf-8")
        return path

    def start(self) -> None:
        """Start the processes, which import their libraries meanwhile."""
        for worker in self._workers:
            self._start(worker)

    def _start(self, worker: _Worker) -> None:
        ours, theirs = Pipe()
        command = [sys.executable, "-m", f"{__package__}.worker", str(worker.setup), str(theirs.fileno())]
        path = os.pathsep.join(
            (str(REPOSITORY / "src"), str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")]))
        )
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
            env={**worker.variables, "PYTHONPATH": path}, pass_fds=(theirs.fileno(),),
            start_new_session=True,  # Ctrl-C reaches the launcher alone, which then ends the others
        )  # fmt: skip
        theirs.close()
        worker.tree, worker.pipe = ProcessTree(process), ours

    def send(self, sites: Sequence[str], message: Callable[[tuple[str, ...]], Message]) -> None:
        """Hand every worker a message for those of its sites that are among ``sites``."""
        self._died = {}
        for worker in self._workers:
            own = tuple(site for site in sites if site in worker.sites)
            if own:
                self._hand(worker, message(own))

    def _hand(self, worker: _Worker, message: Message) -> None:
        if worker.pipe is None or worker.tree is None or worker.tree.root.poll() is not None:
            self._start(worker)
        assert worker.pipe is not None
        worker.message, worker.left, worker.at = message, deque(message.sites), None
        worker.pipe.send(message)

    def wait(self, seconds: float) -> Iterator[Event]:
        """What happened until now, waiting at most so long for the first of it."""
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
        if worker.tree is not None:
            worker.tree.end()
        if worker.pipe is not None:
            worker.pipe.close()
        worker.tree, worker.pipe, worker.at = None, None, None
        worker.left = deque() if worker.left is None else worker.left
