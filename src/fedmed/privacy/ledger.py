"""The privacy ledger: what each site spent in each round. Whole or not there, and refused where it was edited."""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fedmed.core.errors import InputError
from fedmed.core.files import write_whole
from fedmed.core.names import LEDGER
from fedmed.core.site_folder import run_name, site_folder

FORMAT = 1

Step = tuple[float, float, int]
"""(noise multiplier, sample rate, how many times): what accountants call a history's element."""


@dataclass(frozen=True)
class Entry:
    """One site's round (counted from 1). Epsilon is None where the mechanism has none."""

    site: str
    round: int
    epsilon_round: float | None
    epsilon_total: float | None
    epsilon_next: float | None
    delta: float | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    diagnostics: Mapping[str, float | None] | None = None

    def travelling(self, with_diagnostics: bool) -> dict[str, Any]:
        """The entry as it leaves the site: without what depends on its data, unless that was asked for."""
        return asdict(self if with_diagnostics else replace(self, diagnostics=None))

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "Entry":
        """From :func:`travelling`'s answer.

        Raises:
            InputError: it is of another form.
        """
        try:
            entry = cls(**values)
            numbers = (entry.epsilon_round, entry.epsilon_total, entry.epsilon_next, entry.delta)
            ok = all(n is None or (isinstance(n, int | float) and math.isfinite(n)) for n in numbers)
            ok = ok and isinstance(entry.site, str) and isinstance(entry.round, int)
        except TypeError:
            ok = False
        if not ok:
            raise InputError(
                f"{values!r:.200} is no entry of a privacy ledger; expected what a site of this version sends."
            )
        return entry


@dataclass
class Ledger:
    """The entries of one run, at a site or of all sites; a site's own has the accountant's history and state too."""

    run: str
    mechanism: Mapping[str, Any]
    entries: list[Entry] = field(default_factory=list)
    history: list[Step] = field(default_factory=list)
    state: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Epsilon so far."""
        return max((entry.epsilon_total or 0.0 for entry in self.entries), default=0.0)

    def document(self) -> dict[str, Any]:
        """The ledger as JSON values, with a checksum over the rest. It finds slips, not forgers, who can sum too."""
        content = {
            "format": FORMAT,
            "run": self.run,
            "mechanism": dict(self.mechanism),
            "entries": [asdict(entry) for entry in self.entries],
            "history": [list(step) for step in self.history],
            "state": dict(self.state),
        }
        return {**content, "checksum": checksum(content)}

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(self.document(), indent=2, allow_nan=False) + "\n").encode())


def read_ledger(path: Path, run: str | None = None, mechanism: Mapping[str, Any] | None = None) -> Ledger:
    """A ledger from its file, of this run and this mechanism where they are given.

    Raises:
        InputError: it cannot be read, was edited, or belongs to another run or mechanism.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        stated = document.pop("checksum")
        whole = stated == checksum(document) and document["format"] == FORMAT
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{path} is no privacy ledger ({error!r:.120}); expected one that a run wrote.") from error
    if not whole:
        raise InputError(f"{path} was changed after it was written (its checksum differs); restore the original.")
    if run is not None and document["run"] != run:
        raise InputError(
            f"{path} belongs to {document['run']}, this is {run}; move it away, its budget is not this one's."
        )
    if mechanism is not None and document["mechanism"] != json.loads(json.dumps(mechanism)):
        raise InputError(
            f"{path} was written with other privacy settings than this run's; go on with those, or start anew."
        )
    return Ledger(
        run=document["run"],
        mechanism=document["mechanism"],
        entries=[Entry.from_plain(entry) for entry in document["entries"]],
        history=[(float(noise), float(rate), int(steps)) for noise, rate, steps in document["history"]],
        state=document["state"],
    )


def checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of the content in JSON's one form with sorted keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def site_ledger(site: str, job_id: str, name: str = LEDGER) -> Path:
    """The file of a site's own ledger of a job.

    Raises:
        InputError: ``job_id`` or ``name``, which may come with a job, is no plain name.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]*[A-Za-z0-9_-]", name):
        raise InputError(f"The ledger's file is called {name!r:.80}; expected a plain file name.")
    return site_folder(site, job_id) / name


def open_site_ledger(
    site: str, job_id: str, mechanism: Mapping[str, Any], name: str = LEDGER, *, begins: bool = True
) -> Ledger:
    """A site's own ledger: the one that is there, so that a restarted site goes on where it stood, or a new one.

    Args:
        begins: False where there must be one, as a new one would forget what the run has spent.

    Raises:
        InputError: the one that is there cannot be used, or none is there.
    """
    path, run = site_ledger(site, job_id, name), run_name(job_id)
    if path.exists():
        return read_ledger(path, run, mechanism)
    if not begins:
        raise InputError(
            f"{path} is missing, so nobody knows what {run} has spent here; expected the ledger of its earlier rounds: "
            "restore it, or start a new run."
        )
    return Ledger(run, mechanism)


def begin_site_ledger(site: str, job_id: str, mechanism: Mapping[str, Any]) -> None:
    """Write a site's own ledger, without any entry, where there is none.

    With the run's beginning on its disk, a site whose first turn comes late is told from one that has lost its ledger.
    """
    path = site_ledger(site, job_id)
    if not path.exists():
        Ledger(run_name(job_id), mechanism).save(path)


def all_booked(ledger: Ledger, sites: Path) -> list[Entry]:
    """A run's entries, and those that its sites booked for a round that the server did not finish."""
    known = {(entry.site, entry.round) for entry in ledger.entries}
    own = [read_ledger(path, ledger.run) for path in sorted(sites.glob(f"*/{LEDGER}"))]
    unfinished = [entry for each in own for entry in each.entries if (entry.site, entry.round) not in known]
    return [*ledger.entries, *(replace(entry, diagnostics=None) for entry in unfinished)]


def last_of_each(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Each site's latest entry, by site."""
    return {entry.site: entry for entry in sorted(entries, key=lambda entry: entry.round)}
