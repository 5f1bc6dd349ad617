"""A federation in one thread: the real server on disk, sites that are functions of the question, a clock by hand."""

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from fedmed.core.lines import json_lines
from fedmed.core.messages import Answer, Question
from fedmed.core.weights import load_weights
from fedmed.server.checkpoint import Checkpoints
from fedmed.server.federation_server import FederationServer, ServerFiles
from fedmed.server.plan import ServerPlan

SITES = ("site-1", "site-2", "site-3")
Arrays = dict[str, np.ndarray]
FIRST: Arrays = {
    "w": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "b": np.zeros(2, np.float32),
    "norm.running_mean": np.zeros(2, np.float32),
    "norm.running_var": np.ones(2, np.float32),
    "norm.num_batches_tracked": np.array(0),
}
ENTRIES = {
    "trainable": ["w", "b"],
    "statistics": ["norm.running_mean", "norm.running_var"],
    "counters": ["norm.num_batches_tracked"],
}
HASHES = {site: {"key": ["0" * 64], "training": [f"{n:064x}"], "validation": []} for n, site in enumerate(SITES, 1)}


def plan(**changed: Any) -> ServerPlan:
    """A plan of three sites and three rounds."""
    told: dict[str, Any] = {
        "task": {"name": "brats18"},
        "algorithm": {"name": "fedavg"},
        "entries": ENTRIES,
        "sites": SITES,
        "rounds": 3,
        "key_metric": "val_dice",
        "max_update_ratio": 100.0,
        "max_weight_ratio": 10.0,
        "figures": {"val_dice": {"least": 0.0, "most": 1.0, "per_case": 3, "sums": []}},
    }
    return ServerPlan(**{**told, **changed})


def number_of(*words: object) -> int:
    """A number that follows from words, the same in every process."""
    return zlib.crc32(repr(words).encode())


def entry_of(site: str, rounds: int, each: float = 1.0) -> dict[str, Any]:
    """A ledger's entry of a site that spends ``each`` a round."""
    total = each * (rounds + 1)
    return {
        "site": site,
        "round": rounds + 1,
        "epsilon_round": each,
        "epsilon_total": total,
        "epsilon_next": total + each,
        "delta": 1e-5,
        "facts": {},
        "diagnostics": None,
    }


def honest(site: str, question: Question) -> Answer:
    """An answer that follows from the site and the question alone, as that of real training does."""
    if question.kind == "images":
        return Answer(images=HASHES.get(site, {}))
    if question.kind == "unshared":
        return Answer(unshared=question.unshared)
    if question.kind == "statistics":
        return measured(site, question)
    seed = number_of(site, question.rounds, *(np.asarray(v).tobytes() for v in question.weights.values()))
    rng = np.random.default_rng(seed)
    score = {"val_dice": 0.5 + 0.4 * float(rng.random()), "val_cases": 3}
    if site not in question.training:
        return Answer(metrics=score)
    update: Arrays = {
        "w": rng.normal(size=(3, 4)).astype(np.float32),
        "b": rng.normal(size=2).astype(np.float32),
        "norm.running_mean": rng.normal(size=2).astype(np.float32),
        "norm.running_var": np.abs(rng.normal(size=2)).astype(np.float32),
        "norm.num_batches_tracked": np.array(2),
    }
    steps = 2 + number_of(site) % 5
    return Answer(update, steps, steps * 4, score, entry_of(site, question.rounds), {})


def measured(site: str, question: Question) -> Answer:
    """Running statistics that follow from the site and the model's other entries, as measured ones do."""
    weights = question.weights
    rng = np.random.default_rng(number_of(site, *(np.asarray(weights[name]).tobytes() for name in ("w", "b"))))
    found = {name: rng.uniform(1, 2, 2).astype(np.float32) for name in ENTRIES["statistics"]}
    return Answer({name: values - weights[name] for name, values in found.items()}, cases=number_of(site) % 50 + 1)


def spoilt(answer: Answer, **entries: Any) -> Answer:
    """The same with other values of some entries."""
    return replace(answer, update={**answer.update, **entries})


class Event(NamedTuple):
    """One thing that happens ``after_s`` seconds after a question was asked, where the server still waits."""

    after_s: float
    does: Callable[["Federation", Question], object]


Make = Callable[[str, Question], Answer]


def answers(site: str, after_s: float = 1.0, made: Make = honest) -> Event:
    return Event(after_s, lambda run, question: run.hand_in(site, made(site, question)))


def fails(site: str, after_s: float = 1.0, why: str = "out of memory") -> Event:
    return Event(after_s, lambda run, question: run.lose(site, why))


def is_kept_back(site: str, after_s: float = 1.0) -> Event:
    return Event(after_s, lambda run, question: run.server.refuse(site, "a filter did not let it out", run.now))


def dies(site: str, after_s: float = 1.0) -> Event:
    """No sign of life comes of it any longer."""
    return Event(after_s, lambda run, question: run.dead.add(site))


def is_back(site: str, after_s: float = 1.0) -> Event:
    return Event(after_s, lambda run, question: run.dead.discard(site))


Play = Callable[[Question], Iterable[Event]]
"""What happens while a question is open; nothing more happens after its last event."""


def all_well(question: Question) -> list[Event]:
    return [answers(site) for site in question.sites]


class Killed(BaseException):
    """The server's process is killed."""


@dataclass
class Federation:
    """A run of one or more jobs, whose state lies in ``place``.

    Attributes:
        present: the sites that the transport knows.
        dead: those of them that give no signs of life.
        handed_in: the sites that answered the last question.
        failed: the sites that failed while it was open.
        end_s: seconds after a question at which a server that still waits counts as hanging.
        on: called with "asked", "answered" and the question; it may raise :class:`Killed`.
    """

    place: Path
    plan: ServerPlan
    present: tuple[str, ...] = SITES
    dead: set[str] = field(default_factory=set)
    end_s: float = 10_000.0
    on: Callable[[str, Question], object] = lambda moment, question: None
    now: float = 1_000.0
    jobs: int = 0
    reports: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    handed_in: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    def begin(self) -> FederationServer:
        """A new job of the run, begun."""
        self.jobs += 1
        first = {name: torch.from_numpy(values.copy()) for name, values in FIRST.items()}
        self.server = FederationServer(self.plan, self.files, lambda: first, self.now, self.reports.append)
        return self.server

    @property
    def files(self) -> ServerFiles:
        return ServerFiles(self.place / f"job-{self.jobs}", self.place / "state")

    def run(self, play: Play = all_well) -> "Federation":
        """One job, to its end.

        Raises:
            Killed: ``on`` says so.
            RuntimeError: the run cannot go on.
        """
        try:
            self.begin()
            while (question := self.server.next(self.present, self.now)) is not None:
                self.ask(question, play)
                self.server.close(self.now)
            self.server.leave()
        finally:  # the lock goes with the process
            self.server.checkpoints.release()
        return self

    def ask(self, question: Question, play: Play) -> None:
        """Let happen what happens until the server waits no longer."""
        self.questions.append(question)
        self.handed_in, self.failed = set(), set()
        self.on("asked", question)
        began = self.now
        for event in sorted(play(question), key=lambda event: event.after_s):
            if self._waits_until(began + event.after_s):
                event.does(self, question)
                self.on("answered", question)
        assert not self._waits_until(began + self.end_s), f"it hangs at {question.kind} {question.rounds}"

    def hand_in(self, site: str, answer: Answer) -> None:
        self.handed_in.add(site)
        self.server.take(site, answer, self.now)

    def lose(self, site: str, why: str) -> None:
        self.failed.add(site)
        self.server.fail(site, why)

    def _waits_until(self, moment: float) -> bool:
        """Pass the time, in which sites that live give signs; False where the server waits no longer."""
        step = self.plan.site_silence / 3 or max(1.0, (moment - self.now) / 50)
        while not self.server.is_complete(self.now):
            if self.now >= moment:
                return True
            self.now = min(moment, self.now + step)
            for site in set(self.present) - self.dead:
                self.server.heard(site, self.now)
        return False

    @property
    def records(self) -> list[dict[str, Any]]:
        return json_lines(self.place / "state" / "rounds.jsonl")

    @property
    def completed(self) -> list[dict[str, Any]]:
        return [record for record in self.records if not record.get("failed") and not record.get("final")]

    @property
    def refused(self) -> list[set[str]]:
        """The sites that are left out, by round."""
        return [set(record["refused"]) for record in self.completed]

    @property
    def model(self) -> Arrays:
        """The last model on the disk."""
        found = Checkpoints(self.place / "state").load()
        return FIRST if found is None else {name: v.numpy() for name, v in load_weights(found.last).items()}

    @property
    def bits(self) -> bytes:
        return bits_of(self.model)


def bits_of(model: Mapping[str, Any]) -> bytes:
    return b"".join(np.asarray(model[name]).tobytes() for name in sorted(model))
