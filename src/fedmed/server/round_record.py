"""What the server writes down of one round: who measured what, who spent what, and how much was moved."""

import math
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from nvflare.app_common.abstract.fl_model import FLModel

from fedmed.algorithms.updates import payload
from fedmed.core.errors import InputError
from fedmed.core.site_scores import CASES
from fedmed.privacy.ledger import PRIVACY, Entry


class RoundRecord:
    """Begins when a model is sent.

    Args:
        number: of the round, from 0: how many rounds made the model that is sent.
        sites: to whom it is sent.
        size: its bytes.
        split: whether the sites share the work of scoring it.
    """

    def __init__(self, number: int, sites: Iterable[str], size: int, split: bool) -> None:
        self.number, self.split, self.best = number, split, False
        self.entries: dict[str, Entry] = {}
        self._began = time.time()
        self._scores: dict[str, dict[str, float]] = {}
        self._bytes = {site: {"received": size, "sent": 0} for site in sites}

    def take(self, result: FLModel) -> None:
        """What a site measured, and how much it sent."""
        site = result.meta["client_name"]
        numbers = {n: v for n, v in (result.metrics or {}).items() if isinstance(v, int | float) and math.isfinite(v)}
        self._scores[site] = numbers
        self._bytes[site]["sent"] += payload(result.params)

    def take_entry(self, result: FLModel) -> str | None:
        """What the site's privacy ledger says of the round; in words what is wrong with it, where something is."""
        told, site = (result.meta or {}).get(PRIVACY), result.meta["client_name"]
        if told is None:
            return None
        try:
            entry = Entry.from_plain(told)
        except InputError as error:
            return f"{site}: {error}"
        if entry.site != site:
            return f"{site} sent a ledger entry of {entry.site}; it is not taken over."
        self.entries[site] = entry
        return None

    def document(self, **facts: Any) -> dict[str, Any]:
        """As JSON values, with further facts."""
        return {
            "round": self.number,
            "seconds": round(time.time() - self._began, 3),
            "best": self.best,
            "split": self.split,
            "privacy": {site: asdict(entry) for site, entry in sorted(self.entries.items())},
            "sites": {site: {CASES: 1, **self._scores[site]} for site in sorted(self._scores)},
            "bytes": dict(sorted(self._bytes.items())),  # of the arrays of parameters, without what surrounds them
            **facts,
        }
