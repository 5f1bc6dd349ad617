"""The server's record of one round: each site's scores and ledger entry, the time, and the bytes moved."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from fedmed.core.errors import InputError
from fedmed.core.site_scores import CASES, is_count
from fedmed.privacy.ledger import Entry

EARLIER = "earlier"
"""In a record: it is of an earlier job of the same run."""


class RoundRecord:
    """One round's record, begun when a model is sent.

    Args:
        number: of the round, from 0: how many rounds made the model that is sent.
        sites: the sites to which it is sent.
        size: its bytes, with what the algorithm sends beside.
        split: True where the sites share the work of scoring it.
        now: the time in seconds from some moment on.
    """

    def __init__(self, number: int, sites: Iterable[str], size: int, split: bool, now: float = 0.0) -> None:
        self.number, self.split, self.best = number, split, False
        self.entries: dict[str, Entry] = {}
        self.scores: dict[str, dict[str, float]] = {}
        self._began = now
        self._bytes = {site: {"received": size, "sent": 0} for site in sites}

    def take(self, site: str, metrics: Mapping[str, Any] | None, sent: int) -> None:
        """Note a site's finite scores and the bytes that it sent. A count that is no number from 0 on is 0."""
        given = (metrics or {}).items()
        counts = {name: value if _is_finite(value) and value >= 0 else 0 for name, value in given if is_count(name)}
        self.scores[site] = {name: value for name, value in given if _is_finite(value)} | counts
        self._bytes[site]["sent"] += sent

    def take_entry(self, site: str, plain: Any) -> str | None:
        """Note a site's entry of its privacy ledger; the reason in words where it cannot be used."""
        if plain is None:
            return None
        try:
            entry = Entry.from_plain(plain)
        except InputError as error:
            return f"{site}: {error}"
        if not _is_json(entry):
            return f"{site} sent a ledger entry that cannot be written down; it is not taken over."
        if entry.site != site:
            return f"{site} sent a ledger entry of {entry.site}; it is not taken over."
        self.entries[site] = entry
        return None

    def document(self, now: float, **facts: Any) -> dict[str, Any]:
        """The record as JSON values, with further facts."""
        return {
            "round": self.number,
            "seconds": round(now - self._began, 3),
            "best": self.best,
            "split": self.split,
            "privacy": {site: asdict(entry) for site, entry in sorted(self.entries.items())},
            "sites": {site: {CASES: 1, **self.scores[site]} for site in sorted(self.scores)},
            "bytes": dict(sorted(self._bytes.items())),  # of the arrays, without what surrounds them
            **facts,
        }


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_json(entry: Entry) -> bool:
    try:
        json.dumps(asdict(entry), allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def completes_a_round(record: Mapping[str, Any]) -> bool:
    """True for the record of a round that made a model: not of a failed one, nor of the final scoring."""
    return not record.get("failed") and not record.get("final")
