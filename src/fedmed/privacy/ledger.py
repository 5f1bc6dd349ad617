"""The privacy ledger: what each site spent in each round. Whole or not there, and refused where it was edited."""

import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from fedmed.core.errors import InputError
from fedmed.core.files import private_folder, write_whole
from fedmed.core.names import LEDGER
from fedmed.core.site_folder import run_name, site_folder

FORMAT = 1

MOST_EPSILON = 1e300
"""Far above what a run spends, which may be billions where nothing is promised."""

MOST_ROUNDS, MOST_FACTS, MOST_TEXTS = 10**9, 40, 4096

MOST_CHARACTERS = 131_072
"""Of an entry's facts and diagnostics as JSON; they may name a network's buffers."""

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
        """From :func:`travelling`'s answer, of which nothing is taken for granted.

        Raises:
            InputError: it is of another form, holds numbers that no ledger has, or is too long to be kept.
        """
        fault = _fault_of_entry(values)
        if fault:
            raise InputError(f"An entry of a privacy ledger has {fault}; expected what a site of this version sends.")
        return cls(**values)


def _fault_of_entry(values: Any) -> str | None:
    """The first reason against an entry that came as JSON values, None where there is none."""
    names = {field.name for field in fields(Entry)}
    if not isinstance(values, dict) or not names - {"facts", "diagnostics"} <= set(values) <= names:
        return "other names"
    odd = next((name for name, fits in _FITS.items() if not fits(values[name])), None)
    if odd is not None:
        return f"{values[odd]!r:.40} for {odd}"
    return _fault_of_facts(values.get("facts", {}), values.get("diagnostics"))


def _fault_of_facts(facts: Any, diagnostics: Any) -> str | None:
    """The first reason against an entry's facts and diagnostics."""
    fault = _fault_of_names("facts", facts, _is_fact)
    if fault is None and diagnostics is not None:
        fault = _fault_of_names("diagnostics", diagnostics, _is_figure)
    return fault or ("too much in it" if len(json.dumps([facts, diagnostics])) > MOST_CHARACTERS else None)


def _fault_of_names(what: str, given: Any, fits: Callable[[Any], bool]) -> str | None:
    """The first reason against values by name."""
    if not isinstance(given, dict) or len(given) > MOST_FACTS:
        return f"{what} that are not at most {MOST_FACTS} by name"
    odd = [name for name, value in given.items() if not (_is_name(name) and fits(value))]
    return f"{what} of another form, as {odd[0]!r:.40}" if odd else None


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and re.fullmatch("[a-z][a-z0-9_]{0,63}", name) is not None


def _is_number(value: Any, least: float = -sys.float_info.max, most: float = sys.float_info.max) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _is_figure(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_fact(value: Any) -> bool:
    """True for a number, a truth, a short text, or a list of such texts: the names of a network's entries."""
    if isinstance(value, list):
        return len(value) <= MOST_TEXTS and all(map(_is_plain_text, value))
    return isinstance(value, bool) or _is_figure(value) or _is_plain_text(value)


def _is_plain_text(value: Any) -> bool:
    """True for a short text of printable characters."""
    return isinstance(value, str) and len(value) <= 200 and value.isprintable()


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "site": _is_plain_text,
    "round": lambda value: isinstance(value, int) and _is_number(value, 1, MOST_ROUNDS),
    "epsilon_round": lambda value: value is None or _is_number(value, -1e-3, MOST_EPSILON),  # of rounded totals
    "epsilon_total": lambda value: value is None or _is_number(value, 0.0, MOST_EPSILON),
    "epsilon_next": lambda value: value is None or _is_number(value, 0.0, MOST_EPSILON),
    "delta": lambda value: value is None or _is_number(value, 0.0, 1.0),
}
"""The values that each number and name of an entry may have."""


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
        """Write it, whole or not at all, in a folder that is its owner's alone."""
        private_folder(path.parent)
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
