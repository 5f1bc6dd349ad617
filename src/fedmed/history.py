"""From the server's records to the history of a run. Pure functions over plain data.

A record of round r (from 0) holds each site's report: its score of the global model that it received, which is the
model after r rounds, and what it did with it, the training of round r + 1. The last record holds scores alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fedmed.metrics import mean_over_sites

Record = Mapping[str, Any]


def rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """A row a round and site: the training of round n, and the score of the model that came out of it.

    Round 0 is the untrained model; the scores of the last round are missing where the final record is.
    """
    table: dict[tuple[int, str], dict[str, Any]] = {}

    def row(done: int, site: str) -> dict[str, Any]:
        return table.setdefault((done, site), {"round": done, "site": site})

    for record in records:
        before = record["round"]
        for site, report in record["sites"].items():
            for name, value in report.items():
                row(before if name.startswith("val_") else before + 1, site)[name] = value
            entry = record.get("privacy", {}).get(site, {})
            if entry.get("epsilon_total") is not None:
                row(before + 1, site)["epsilon"] = entry["epsilon_total"]
            if not record.get("final"):
                row(before + 1, site)["round_seconds"] = record["seconds"]
        for site, reason in record.get("refused", {}).items():
            row(before + 1, site)["refused"] = reason
    return [table[key] for key in sorted(table)]


def scores_of(record: Record) -> dict[str, float]:
    """The mean over the sites of each metric in a record."""
    return mean_over_sites({site: report for site, report in record["sites"].items() if report})


def best_round(records: Sequence[Record]) -> int | None:
    """How many rounds made the model that the server chose as the best; None when it chose none."""
    chosen = [record["round"] for record in records if record["best"]]
    return chosen[-1] if chosen else None


def after_round(records: Iterable[Record], done: int) -> Record | None:
    """The record that scores the model after ``done`` rounds."""
    return next((record for record in records if record["round"] == done), None)
