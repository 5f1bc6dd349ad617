"""What a run cost in rounds, time and traffic, from its history. Pure functions."""

from typing import NamedTuple

import pandas as pd


class Cost(NamedTuple):
    """None where the run did not record it."""

    rounds: int
    seconds: float | None
    megabytes_sent: float | None  # by all sites in all rounds; 1e6 bytes


def cost_of(history: pd.DataFrame) -> Cost:
    """From a run's history, a row a round and site.

    ``round_seconds`` is the same for all sites of a round and counts once; ``megabytes_sent`` is each site's own.
    """
    sent = _total(history, "megabytes_sent")
    if history.empty or "round_seconds" not in history:
        return Cost(0 if history.empty else int(history["round"].max()), None, sent)
    rounds = history.dropna(subset=["round_seconds"]).groupby("round")["round_seconds"].first()
    return Cost(len(rounds), float(rounds.sum()), sent)


def _total(history: pd.DataFrame, name: str) -> float | None:
    return float(history[name].sum()) if name in history and history[name].notna().any() else None
