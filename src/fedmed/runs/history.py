"""From the server's records to the history of a run. Pure functions over plain data.

A record of round r (from 0) holds each site's report: its score of the global model that it received, which is the
model after r rounds, and what it did with it, the training of round r + 1. The last record holds scores alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fedmed.core.site_scores import EPOCHS, LEARNING_RATE, VALIDATION, Figures, mean_over_sites

BY_SITE = ("refused", "counted", "attack")
"""Facts of a round by site: why it was left out, the share with which its update counted, the attack that it ran."""

Record = Mapping[str, Any]
Entry = tuple[int, str, str, Any]
"""One entry of a row: the row's round and site, the column and its value."""

ADDED_UP = "megabytes_"
"""Begins the names of columns whose entries are added up: the traffic of the final validation is the last round's."""


def rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """A row a round and site: the training of round n, and the score of the model that came out of it.

    Round 0 is the untrained model; the scores of the last round are missing where the final record is. A row's
    ``epochs`` are those of the training: what each local epoch came to at the site, before the round's model was made.
    """
    table: dict[tuple[int, str], dict[str, Any]] = {}
    for record in records:
        for done, site, column, value in _entries(record):
            row = table.setdefault((done, site), {"round": done, "site": site})
            row[column] = row.get(column, 0.0) + value if column.startswith(ADDED_UP) else value
    return [table[key] for key in sorted(table)]


def epochs_of(table: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row a round, site and local epoch, with the epoch's figures, of the rows that :func:`rows` makes."""
    return [{"round": row["round"], "site": row["site"], **epoch} for row in table for epoch in row.get(EPOCHS) or []]


def _entries(record: Record) -> Iterator[Entry]:
    before, final = record["round"], bool(record.get("final"))
    for site, report in record["sites"].items():
        for name, value in report.items():
            yield (before if name.startswith(VALIDATION) else before + 1), site, name, value
        yield from _beside_the_report(record, site)
    for site, moved in record.get("bytes", {}).items():
        for way, count in moved.items():
            yield (before if final else before + 1), site, ADDED_UP + way, count / 1e6
    yield from _of_the_training(record)


def _of_the_training(record: Record) -> Iterator[Entry]:
    """Each site's local epochs, and the facts of the round by site."""
    after = record["round"] + 1
    for site, epochs in record.get(EPOCHS, {}).items():
        yield after, site, EPOCHS, [{"epoch": number, **each} for number, each in enumerate(epochs, start=1)]
    for fact in BY_SITE:
        yield from ((after, site, fact, value) for site, value in record.get(fact, {}).items())


def _beside_the_report(record: Record, site: str) -> Iterator[Entry]:
    """The privacy spent at a site that reported, and the duration and the learning rate of its round."""
    epsilon = record.get("privacy", {}).get(site, {}).get("epsilon_total")
    if epsilon is not None:
        yield record["round"] + 1, site, "epsilon", epsilon
    if not record.get("final"):
        yield record["round"] + 1, site, "round_seconds", record["seconds"]
    if LEARNING_RATE in record:
        yield record["round"] + 1, site, LEARNING_RATE, record[LEARNING_RATE]


def scores_of(record: Record, figures: Figures | None = None) -> dict[str, float]:
    """Each figure in a record over its sites; ``figures`` are those of the task that are made from sums."""
    return mean_over_sites({site: report for site, report in record["sites"].items() if report}, figures)


def best_round(records: Sequence[Record]) -> int | None:
    """The number of rounds that made the model which the server chose as the best; None when it chose none."""
    chosen = [record["round"] for record in records if record["best"]]
    return chosen[-1] if chosen else None


def best_of_each(records: Iterable[Record], key: str) -> dict[str, int]:
    """Rounds that made each site's own best model, by site; the first of equals, and never the untrained one."""
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
