"""The server's record of one round: each site's scores and ledger entry, the time, and the bytes moved."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fedmed.core.errors import InputError
from fedmed.core.site_scores import CASES, EPOCHS
from fedmed.privacy.ledger import Entry
from fedmed.server.words import in_short

Epochs = Sequence[Mapping[str, float]]
"""The figures of each local epoch of a site's round, by name."""

EARLIER = "earlier"
"""In a record: it is of an earlier job of the same run."""

SAME = 1e-6
"""Relative difference of two epsilons that is rounding."""


class RoundRecord:
    """One round's record, begun when a model is sent.

    Args:
        number: of the round, from 0: how many rounds made the model that is sent.
        sites: the sites to which it is sent.
        size: its bytes, with what the algorithm sends beside.
        split: True where the sites share the work of scoring it.
        now: the time in seconds from some moment on.

    Attributes:
        scores: by site its figures and counts, as :func:`fedmed.server.site_reports.read_report` has left them.
        epochs: by site the figures of each of its local epochs, from the same function.
        notes: by site what of its answer does not count as it was sent, in words.
    """

    def __init__(self, number: int, sites: Iterable[str], size: int, split: bool, now: float = 0.0) -> None:
        self.number, self.split, self.best = number, split, False
        self.entries: dict[str, Entry] = {}
        self.scores: dict[str, dict[str, float]] = {}
        self.epochs: dict[str, Epochs] = {}
        self.notes: dict[str, str] = {}
        self._began = now
        self._bytes = {site: {"received": size, "sent": 0} for site in sites}

    def take(self, site: str, figures: Mapping[str, float], sent: int, epochs: Epochs = ()) -> None:
        """Note a site's figures, the bytes that it sent and the figures of its epochs."""
        self.scores[site], self.epochs[site] = dict(figures), list(epochs)
        self._bytes[site]["sent"] += sent

    def take_over(self, earlier: "RoundRecord") -> None:
        """Count the bytes and the time of a question that was asked before this one for the same round."""
        self._began = earlier._began
        for site, moved in earlier._bytes.items():
            mine = self._bytes.setdefault(site, {"received": 0, "sent": 0})
            for way, size in moved.items():
                mine[way] += size

    def note(self, site: str, words: str) -> None:
        """Note in words what of a site's answer does not count; no words note nothing."""
        if words:
            self.notes[site] = in_short("; ".join(filter(None, [self.notes.get(site), words])))

    def take_entry(self, site: str, plain: Any, last: Entry | None, delta: float | None = None) -> str | None:
        """Note a site's entry of its privacy ledger; the reason in words where it cannot be used.

        Args:
            last: the site's entry that was booked before.
            delta: at which each entry must state epsilon; None where the mechanism has no such number.
        """
        if plain is None:
            return None
        try:
            entry = Entry.from_plain(plain)
        except InputError as error:
            return str(error)
        fault = self._fault_of(entry, site, last, delta)
        if fault is None:
            self.entries[site] = entry
        return fault

    def _fault_of(self, entry: Entry, site: str, last: Entry | None, delta: float | None) -> str | None:
        if entry.site != site:
            return f"a ledger entry of {entry.site}; it is not taken over"
        if entry.round != self.number + 1:
            return f"a ledger entry of round {entry.round} in round {self.number + 1}"
        if delta is not None and (entry.delta != delta or None in (entry.epsilon_total, entry.epsilon_next)):
            return f"a ledger entry that states no epsilon at the run's delta of {delta:g}"
        return _fault_of_total(entry, last)

    def document(self, now: float, **facts: Any) -> dict[str, Any]:
        """The record as JSON values, with further facts."""
        epochs = {site: self.epochs[site] for site in sorted(self.scores) if self.epochs.get(site)}
        return {
            "round": self.number,
            "seconds": round(now - self._began, 3),
            "best": self.best,
            "split": self.split,
            "privacy": {site: asdict(entry) for site, entry in sorted(self.entries.items())},
            "sites": {site: {CASES: 1, **self.scores[site]} for site in sorted(self.scores)},
            "bytes": dict(sorted(self._bytes.items())),  # of the arrays, without what surrounds them
            **({EPOCHS: epochs} if epochs else {}),
            **({"notes": dict(sorted(self.notes.items()))} if self.notes else {}),
            **facts,
        }


def _fault_of_total(entry: Entry, last: Entry | None) -> str | None:
    """The reason against a total that is below the last one, as that of a site whose ledger is lost."""
    before, total = last.epsilon_total if last else None, entry.epsilon_total
    if not before or (total is not None and total >= before * (1 - SAME)):
        return None
    spent = "none" if total is None else f"{total:g}"
    return f"its ledger has spent an epsilon of {spent} in all and had spent {before:g} before; restore it"


def completes_a_round(record: Mapping[str, Any]) -> bool:
    """True for the record of a round that made a model: not of a failed one, nor of the final scoring."""
    return not record.get("failed") and not record.get("final")
