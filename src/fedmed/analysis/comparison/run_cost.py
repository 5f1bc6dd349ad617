"""The cost of a run: rounds, time and traffic from its history, and the privacy that it spent from its ledger."""

from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from fedmed.core.errors import InputError
from fedmed.privacy.base import Mechanism
from fedmed.privacy.ledger import LEDGER, last_of_each, read_ledger
from fedmed.runs.run_folder import RunFolder


class Cost(NamedTuple):
    """Rounds, seconds and traffic; None where the run did not record it."""

    rounds: int
    seconds: float | None
    megabytes_sent: float | None  # by all sites in all rounds; 1e6 bytes


@dataclass(frozen=True)
class PrivacySpent:
    """The unit that a mechanism hides, its guarantee, and the epsilon and delta of the site that spent most."""

    unit: str
    guarantee: str
    epsilon: float | None  # None: the mechanism has none
    delta: float | None


def cost_of(history: pd.DataFrame) -> Cost:
    """The cost from a run's history, a row a round and site. A pure function.

    ``round_seconds`` is the same for all sites of a round and counts once; ``megabytes_sent`` is each site's own.
    """
    sent = _total(history, "megabytes_sent")
    if history.empty or "round_seconds" not in history:
        return Cost(0 if history.empty else int(history["round"].max()), None, sent)
    rounds = history.dropna(subset=["round_seconds"]).groupby("round")["round_seconds"].first()
    return Cost(len(rounds), float(rounds.sum()), sent)


def spent(run: RunFolder) -> PrivacySpent:
    """The privacy spent by the run's ledger; a run without a ledger is one of a mechanism without an epsilon.

    Raises:
        InputError: the ledger cannot be read, or a run with a formal guarantee has none.
    """
    privacy, path = run.experiment().privacy, run.path / LEDGER
    if not path.is_file():
        if privacy.GUARANTEE == "formal":
            raise InputError(f"{path} is not there, though {privacy.name} is formal; give a run that kept its ledger.")
        return PrivacySpent(privacy.unit, privacy.GUARANTEE, None, None)
    ledger = read_ledger(path)
    last = last_of_each(ledger.entries).values()
    known = [(e.epsilon_total, e.delta) for e in last if e.epsilon_total is not None]
    epsilon, delta = max(known, key=lambda pair: pair[0], default=(None, None))
    return PrivacySpent(ledger.mechanism["unit"], ledger.mechanism["guarantee"], epsilon, delta)


def epsilon_text(spent: PrivacySpent, mechanism: Mechanism) -> str:
    """The epsilon of the site that spent most, in words that cannot be misread."""
    if spent.guarantee != "formal":
        return "none" if spent.guarantee == "none" else f"{spent.guarantee}: no meaningful epsilon"
    if mechanism.insecure_seeded_noise:
        return "none: the noise follows from the seed"
    if spent.epsilon is None:
        return "nothing was released"
    return f"{spent.epsilon:.4g}" + ("" if spent.delta is None else f" at delta {spent.delta:g}")


def _total(history: pd.DataFrame, name: str) -> float | None:
    return float(history[name].sum()) if name in history and history[name].notna().any() else None
