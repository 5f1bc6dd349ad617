"""A site's ledger over all jobs: which patients took part in which round of which job, with how much noise.

It is a folder of the site's own, made once by :func:`begin_site_wide_ledger`. ``spent.jsonl`` is appended to and never
rewritten: a line a round, and one for each new set of patients, each synced to the disk and sealed by a keyed checksum
over itself and the line before it. ``head.json`` holds the number of lines and the last seal, so that lines which are
gone from the end are missed; ``key`` is the key of the seals and of the patients' hashes. What does not fit together is
refused. It finds slips and lost lines, not a user of the site who means to deceive it and can read the key.
"""

import contextlib
import hmac
import json
import os
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from fedmed.core import locks
from fedmed.core.errors import InputError
from fedmed.core.files import private_folder, write_whole
from fedmed.core.lines import append_json_line, whole_lines
from fedmed.core.names import SITE_LEDGER_VARIABLE
from fedmed.privacy.ledger import Step

LINES, HEAD, KEY = "spent.jsonl", "head.json", "key"
SEAL = "seal"
FORMAT = 1

Tokens = frozenset[str]
"""A patient: keyed hashes of the name in the datalist and of each image. One in common makes two the same patient."""


class BookedJob(NamedTuple):
    """A job at a site, with what decides what a patient spends in a step of it."""

    job: str
    site: str
    mechanism: str
    dataset: str  # the set of patients, by a keyed hash
    noise: tuple[float, float] | None  # multiplier for one patient and sampling rate; None without a formal guarantee


@dataclass
class BookedRounds:
    """The rounds of a job: how many were begun, their optimiser steps, and the days (UTC) of the first and the last."""

    rounds: int
    steps: int
    first: str
    last: str


class SiteWideLedger:
    """The ledger in a folder, as far as it was read.

    Attributes:
        since: the day on which it was begun (UTC).
        datasets: the patients of each set of patients.
        jobs: the rounds of all jobs.

    Raises:
        InputError: it is not there, or does not fit together.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.since = folder, ""
        self.datasets: dict[str, tuple[Tokens, ...]] = {}
        self.jobs: dict[BookedJob, BookedRounds] = {}
        self._bytes = 0  # of the file that were read
        self._seals = [""]  # of every line, after one for the beginning
        try:
            self._key = bytes.fromhex((folder / KEY).read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{SITE_LEDGER_VARIABLE} {folder} holds no ledger ({error}); restore it from a copy or, where this "
                "site never had one, make it once: python deploy/spent.py --begin."
            ) from error
        with self.locked():
            self.catch_up()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be alone at the ledger, from reading what is spent to adding to it; another process of the site waits."""
        with locks.waiting(self.folder / locks.LOCK):
            yield

    def token(self, text: str) -> str:
        """A keyed hash, 32 hexadecimal digits (HMAC-SHA-256, cut to 128 bits)."""
        return self._sealed(text)[:32]

    def catch_up(self) -> None:
        """Read what was added since the last look; under the lock.

        Raises:
            InputError: a line is missing or was changed.
        """
        try:
            head = json.loads((self.folder / HEAD).read_text(encoding="utf-8"))
            self._read_on()
            self._expect(int(head["lines"]), str(head["seal"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"The ledger of this site over all jobs, {self.folder}, is damaged or was edited ({error!r:.120}); "
                "restore it whole from a copy that has its last rounds. Until then no round is trained."
            ) from error

    def book(self, job: BookedJob, patients: Sequence[Tokens], number: int, steps: int) -> None:
        """Add a round (counted from 1) of a job, and its patients where the set of them is new; under the lock.

        Raises:
            OSError: it cannot be written.
        """
        if job.dataset not in self.datasets:
            self._add({"kind": "patients", "dataset": job.dataset, "patients": [sorted(each) for each in patients]})
        self._add({"kind": "round", "round": number, "steps": steps, **job._asdict()})

    def histories(self, patients: Sequence[Tokens]) -> list[tuple[Step, ...]]:
        """For each patient the steps of all rounds so far in which the patient was, joined where they are alike."""
        groups = self.groups()
        known = {name: frozenset[str]().union(*given) for name, given in self.datasets.items()}
        booked = [(known[job.dataset], job.noise, rounds.steps) for job, rounds in self.jobs.items() if job.noise]
        wholes = (each.union(*(groups[token] for token in each if token in groups)) for each in patients)
        return [_joined((noise, steps) for people, noise, steps in booked if people & whole) for whole in wholes]

    def groups(self) -> dict[str, Tokens]:
        """All hashes of a patient, by each of them: names and images that sets of patients have linked, one by one."""
        found: dict[str, Tokens] = {}
        for patient in frozenset[Tokens]().union(*self.datasets.values()):
            whole = patient.union(*(found[token] for token in patient if token in found))
            found |= dict.fromkeys(whole, whole)
        return found

    def begin(self) -> None:
        """Write the first line."""
        with self.locked():
            self._add({"kind": "begin", "format": FORMAT})

    def _add(self, content: Mapping[str, Any]) -> None:
        """Append a line, read it again as anybody will, and move the head."""
        path, stamped = self.folder / LINES, {"at": datetime.now(UTC).isoformat(timespec="seconds"), **content}
        os.truncate(path, self._bytes)  # a line that a killed process left unfinished: its round was not trained
        append_json_line(path, {**stamped, SEAL: self._seal_of(stamped)})
        self._read_on()
        write_head(self.folder, len(self._seals) - 1, self._seals[-1])

    def _read_on(self) -> None:
        path = self.folder / LINES
        if path.stat().st_size < self._bytes:
            raise ValueError(f"{LINES} has become shorter")
        found = whole_lines(path, self._bytes)
        for line in found.lines:
            self._take(line)
        self._bytes = found.offset

    def _take(self, line: str) -> None:
        """Enter a line, whose seal must be that of its content after the lines before it."""
        content = json.loads(line)
        seal = content.pop(SEAL)
        if not hmac.compare_digest(seal, self._seal_of(content)):
            raise ValueError(f"line {len(self._seals)} of {LINES} is not the one that was written")
        self._seals.append(seal)
        self._enter(content)

    def _enter(self, content: Mapping[str, Any]) -> None:
        day = content["at"][:10]
        if content["kind"] == "begin":
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {content['format']}, and this version reads {FORMAT}")
            self.since = day
        elif content["kind"] == "patients":
            self.datasets[content["dataset"]] = tuple(frozenset(patient) for patient in content["patients"])
        else:
            named = {name: content[name] for name in BookedJob._fields}
            noise = None if named["noise"] is None else (float(named["noise"][0]), float(named["noise"][1]))
            booked = self.jobs.setdefault(BookedJob(**{**named, "noise": noise}), BookedRounds(0, 0, day, day))
            booked.rounds, booked.steps, booked.last = booked.rounds + 1, booked.steps + content["steps"], day

    def _expect(self, lines: int, seal: str) -> None:
        """Expect the lines that the head knows, and maybe more, as a process may be killed before it moves the head."""
        if not 0 <= lines < len(self._seals) or self._seals[lines] != seal:
            raise ValueError(f"{HEAD} knows {lines} lines, and {len(self._seals) - 1} are there, or others")

    def _seal_of(self, content: Mapping[str, Any]) -> str:
        return self._sealed(json.dumps([self._seals[-1], content], sort_keys=True))

    def _sealed(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), "sha256").hexdigest()


def _joined(booked: Iterable[tuple[tuple[float, float], int]]) -> tuple[Step, ...]:
    """Steps by their noise and rate, those that are alike together."""
    total = Counter[tuple[float, float]]()
    for noise, steps in booked:
        total[noise] += steps
    return tuple((*noise, steps) for noise, steps in sorted(total.items()))


def begin_site_wide_ledger(folder: Path) -> SiteWideLedger:
    """Make an empty ledger, for its owner alone.

    Raises:
        InputError: there is something already; a ledger is never begun anew.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InputError(
            f"{folder} is not empty, and a ledger is never begun anew; go on with it, or name another folder."
        )
    private_folder(folder)
    write_whole(folder / LINES, b"")
    write_head(folder, 0, "")
    write_whole(folder / KEY, secrets.token_hex(32).encode())
    ledger = SiteWideLedger(folder)
    ledger.begin()
    return ledger


def write_head(folder: Path, lines: int, seal: str) -> None:
    """Note how many lines there are, and the last one's seal."""
    write_whole(folder / HEAD, json.dumps({"lines": lines, SEAL: seal}).encode())


def site_wide_ledger() -> SiteWideLedger | None:
    """The ledger that this machine's environment names, None where it names none.

    Raises:
        InputError: it cannot be used; a site that named one does not train without it.
    """
    named = os.environ.get(SITE_LEDGER_VARIABLE)
    return SiteWideLedger(Path(named).expanduser()) if named else None
