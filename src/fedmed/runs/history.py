"""From the server's records to the history of a run. Pure functions over plain data.

A record of round r (from 0) holds each site's report: its score of the global model that it received, which is the
model after r rounds, and what it did with it, the training of round r + 1. The last record holds scores alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fedmed.core.site_scores import mean_over_sites

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
        for site, moved in record.get("bytes", {}).items():
            _add_megabytes(row(before if record.get("final") else before + 1, site), moved)
        for site, reason in record.get("refused", {}).items():
            row(before + 1, site)["refused"] = reason
    return [table[key] for key in sorted(table)]


def _add_megabytes(row: dict[str, Any], moved: Mapping[str, int]) -> None:
    """A site's traffic; that of the final validation is added to the last round's, so that the rows sum up to all."""
    for way, count in moved.items():
        row[f"megabytes_{way}"] = row.get(f"megabytes_{way}", 0.0) + count / 1e6


def scores_of(record: Record) -> dict[str, float]:
    """The mean over the sites of each metric in a record."""
    return mean_over_sites({site: report for site, report in record["sites"].items() if report})


def best_round(records: Sequence[Record]) -> int | None:
    """How many rounds made the model that the server chose as the best; None when it chose none."""
    chosen = [record["round"] for record in records if record["best"]]
    return chosen[-1] if chosen else None


def best_of_each(records: Iterable[Record], key: str) -> dict[str, int]:
    """By site, how many rounds made the best model of its own; the first of equals, and never the untrained one."""
    best: dict[str, tuple[float, int]] = {}
    for record in records:
        for site, report in record["sites"].items():
            score = report.get(key)
            if record["round"] > 0 and score is not None and (site not in best or score > best[site][0]):
                best[site] = (score, record["round"])
    return {site: done for site, (_, done) in best.items()}


def after_round(records: Iterable[Record], done: int) -> Record | None:
    """The record that scores the model after ``done`` rounds."""
    return next((record for record in records if record["round"] == done), None)
