"""The privacy that was spent, round by round, and one plain sentence on what it means."""

import math
from collections.abc import Sequence

import pandas as pd

from fedmed.analysis.comparison.run_cost import PrivacySpent, spent
from fedmed.core.names import LEDGER
from fedmed.privacy.base import Mechanism
from fedmed.privacy.ledger import Entry, last_of_each, read_ledger
from fedmed.runs.history import Record
from fedmed.runs.run_folder import RunFolder

LARGE = 10.0
"""Epsilon from which on the bound is too weak to mean anything by itself: e^10 is 22 026."""


def booked_entries(run: RunFolder, records: Sequence[Record]) -> list[Entry]:
    """The entries of a run's ledger; while it goes on and has none yet, those in its records.

    Raises:
        InputError: the ledger or an entry cannot be read.
    """
    path = run.path / LEDGER
    if path.is_file():
        return read_ledger(path).entries
    plain = (entry for record in records for entry in record.get("privacy", {}).values())
    return [Entry.from_plain(entry) for entry in plain]


def spent_so_far(run: RunFolder, mechanism: Mechanism, entries: Sequence[Entry], *, goes_on: bool) -> PrivacySpent:
    """The privacy that a run has spent, by its ledger or, while it goes on without one, by its entries.

    Raises:
        InputError: the ledger cannot be read, or is missing though the run is over and its mechanism formal.
    """
    if not goes_on or (run.path / LEDGER).is_file():
        return spent(run)
    known = [(e.epsilon_total, e.delta) for e in last_of_each(entries).values() if e.epsilon_total is not None]
    epsilon, delta = max(known, key=lambda pair: pair[0], default=(None, None))
    return PrivacySpent(mechanism.unit, mechanism.GUARANTEE, epsilon, delta)


def ledger_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """The entries of a ledger, a row a round and site, with the columns round, site and the epsilons and delta."""
    rows = [
        (entry.round, entry.site, entry.epsilon_round, entry.epsilon_total, entry.delta)
        for entry in sorted(entries, key=lambda entry: (entry.round, entry.site))
    ]
    return pd.DataFrame(rows, columns=["round", "site", "epsilon of the round", "epsilon in all", "delta"])


def in_plain_words(guarantee: str, unit: str, epsilon: float | None, delta: float | None) -> str:
    """The meaning of a guarantee in one sentence that promises no more than the mathematics do.

    Args:
        guarantee: none, heuristic or formal.
        unit: whose taking part is hidden.
        epsilon: spent by the site that spent most.
    """
    if guarantee == "none":
        return "In plain words: nothing hides what a site's updates say about its data."
    if guarantee == "heuristic":
        return "In plain words: less leaves a site than without it, and nobody can say how much the rest gives away."
    if epsilon is None:
        return "In plain words: nothing has been released yet, so nothing has been spent."
    at = "" if not delta else f", but for a chance of {delta:g}"
    bound = (
        f"whoever sees all that left a site is at most {math.exp(epsilon):.3g} times as sure as before (in odds) that "
        f"{_a(unit)} took part{at}"
    )
    if epsilon >= LARGE:
        return (
            f"In plain words: epsilon {epsilon:.4g} bounds very little (odds may grow more than 20,000 times); rely on "
            "the attack audit, not on this number."
        )
    return f"In plain words: {bound}."


def _a(unit: str) -> str:
    return f"{'an' if unit[0] in 'aeiou' else 'a'} {unit}"
