"""A run as a row of the table of runs: numbers that its files hold, and none that is made here."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fedmed.analysis.comparison.run_cost import cost_of, epsilon_text
from fedmed.analysis.dashboard.artifacts_listing import ArtifactsListing, Stamp, stamp_of
from fedmed.analysis.dashboard.privacy_words import booked_entries, spent_so_far
from fedmed.analysis.dashboard.run_status import RunStatus, status_of
from fedmed.analysis.evaluation.evaluation_cases import SHARED
from fedmed.analysis.evaluation.evaluation_folder import DOCUMENT, EVALUATION, EvaluationFolder
from fedmed.analysis.evaluation.evaluation_table import OVERALL, POOLED, interval_text, metric_heading
from fedmed.core.errors import InputError
from fedmed.core.names import HISTORY, LEDGER, RECORDS
from fedmed.experiment import Experiment
from fedmed.runs.history import Record, rows, scores_of
from fedmed.runs.run_folder import RunFolder
from fedmed.server.round_record import completes_a_round
from fedmed.tasks.base import Metric

FILES = ("experiment.json", "status.json", RECORDS, f"{HISTORY}.json", LEDGER, f"{EVALUATION}/*/{DOCUMENT}")
"""The files of a run that a row is made of; a table is written before its document."""

UNREAD = "not read yet"
"""The status of a row whose run has not been read."""


@dataclass(frozen=True)
class RunScore:
    """A run's first metric: its figure, its interval in words, and what was scored."""

    metric: str  # with its unit
    value: float | None = None
    interval: str = "-"
    scored_on: str = "-"
    worst_site: str = "-"
    worst_value: float | None = None


@dataclass(frozen=True)
class RunRow:
    """A run in the table of runs; what a run does not have is None, or a dash in words."""

    name: str
    status: str
    task: str = "-"
    algorithm: str = "-"
    privacy: str = "-"
    epsilon: str = "-"
    unit: str = "-"
    environment: str = "-"
    sites: tuple[str, ...] = ()
    rounds: int = 0  # completed
    planned: int = 0
    score: RunScore = RunScore("-")
    seconds: float | None = None
    megabytes: float | None = None
    fault: str = ""  # the reason why the folder cannot be read


def rows_of(listing: ArtifactsListing, seconds: float = math.inf) -> list[RunRow]:
    """A row a run, by name. Only runs whose files have changed since they were read last are read.

    Args:
        seconds: after which no further run is read; the rows of the rest say :data:`UNREAD`.
    """
    ends, rows = time.monotonic() + seconds, []
    for path in listing.runs.values():
        found = _known(path)
        if found is None:
            found = row_of(path) if time.monotonic() < ends else RunRow(path.name, UNREAD)
        rows.append(found)
    return rows


def row_of(path: Path) -> RunRow:
    """The row of a run folder; of one that cannot be read, the reason."""
    known = _known(path)
    if known is not None:
        return known
    state = _state(path)  # before the files are read, so that a change meanwhile is seen the next time
    row = _read(path, state[1])
    _rows[path] = (state, row)
    return row


State = tuple[Stamp, RunStatus]

_rows: dict[Path, tuple[State, RunRow]] = {}
"""The rows that were read, and the state of their folders then."""


def _state(path: Path) -> State:
    return stamp_of(path, *FILES), status_of(path)


def _known(path: Path) -> RunRow | None:
    """The row of a folder that is as it was when it was read."""
    state, row = _rows.get(path, (None, None))
    return row if state is not None and state == _state(path) else None


def _read(path: Path, status: RunStatus) -> RunRow:
    run = RunFolder(path)
    try:
        experiment = run.experiment()
    except InputError as error:
        return RunRow(path.name, "unreadable", fault=str(error))
    try:
        return _row(run, experiment, status)
    except InputError as error:
        return RunRow(path.name, "unreadable", experiment.task.name, fault=str(error))


def _row(run: RunFolder, experiment: Experiment, status: RunStatus) -> RunRow:
    records = run.records()
    history = pd.DataFrame(rows(map(_without_figures, records))) if records else _history(run)
    cost, privacy = cost_of(history), _spent(run, experiment, records, status)
    done = sum(map(completes_a_round, records)) if records else cost.rounds
    training = experiment.training
    return RunRow(
        run.name,
        status.word,
        experiment.task.name,
        experiment.algorithm.name,
        experiment.privacy.name,
        privacy,
        experiment.privacy.unit,
        experiment.environment.name,
        tuple(training.sites),
        done,
        training.num_rounds,
        score_of(run, experiment, records),
        cost.seconds,
        cost.megabytes_sent,
    )


def _without_figures(record: Record) -> dict[str, Any]:
    """A record with its times and bytes alone, which a row is made of; a site may report hundreds of figures."""
    kept = {key: record[key] for key in ("round", "seconds", "bytes", "final") if key in record}
    return {**kept, "sites": {site: {} for site in record["sites"]}}


def _history(run: RunFolder) -> pd.DataFrame:
    """The history of a run of an earlier version, without records; empty where there is none either."""
    return run.history() if (run.path / f"{HISTORY}.json").is_file() else pd.DataFrame()


def _spent(run: RunFolder, experiment: Experiment, records: Sequence[Record], status: RunStatus) -> str:
    mechanism = experiment.privacy
    try:
        entries = booked_entries(run, records)
        return epsilon_text(spent_so_far(run, mechanism, entries, goes_on=status.goes_on), mechanism)
    except InputError:
        return "not known"


def evaluations_of(run: RunFolder) -> list[str]:
    """The names of a run's finished evaluations, such as ``best-validation``: that of the usual model on validation
    cases first, then its others, then those of other models."""
    usual = run.usual_model()
    names = [path.parent.name for path in run.path.glob(f"{EVALUATION}/*/{DOCUMENT}")]
    order = {f"{usual}-validation": 0, f"{usual}-test": 1}
    return sorted(names, key=lambda name: (order.get(name, 2 if name.startswith(f"{usual}-") else 3), name))


def score_of(run: RunFolder, experiment: Experiment, records: list[dict[str, Any]]) -> RunScore:
    """The score of the first evaluation; without one, that of the sites' last report in the records."""
    metric, made = experiment.task.METRICS[0], evaluations_of(run)
    if made:
        return _evaluated(EvaluationFolder(run.path / EVALUATION / made[0]), metric, made[0])
    key = experiment.task.key_score
    for record in reversed(records):
        value = scores_of(record, key.figures).get(key.name)
        if value is not None:
            return RunScore(
                key.over_sites, value, "-", f"no evaluation; the sites' report after round {record['round']}"
            )
    return RunScore(metric_heading(metric))


def _evaluated(folder: EvaluationFolder, metric: Metric, name: str) -> RunScore:
    table = folder.table()
    own = table[(table["metric"] == metric.name) & (table["target"] == OVERALL)]
    found = own[own["site"] == POOLED]
    if found.empty:
        return RunScore(metric_heading(metric))
    sites = own[~own["site"].isin([POOLED, SHARED])].set_index("site")["value"].dropna()
    worst = str(sites.idxmax() if metric.better == "lower" else sites.idxmin()) if len(sites) > 1 else ""
    pooled = found.iloc[0]
    value: float | None = None if pd.isna(pooled["value"]) else float(pooled["value"])
    model, _, split = name.rpartition("-")
    return RunScore(
        metric_heading(metric),
        value,
        interval_text(pooled, metric).partition(" ")[2] or "-",
        f"{model} model, {split} cases",
        worst or "-",
        float(sites[worst]) if worst else None,
    )
