"""The tables of the study of lower-grade gliomas: rows of cases become figures by patient with intervals.

Pure functions. Scores are a table with the columns part, way, seed, site, case, patient, institution, target, quantity
and value; ``site`` is the one whose own model it was, where each site has one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.lgg_splits import FOLDS, HOLD_OUT
from fedmed.analysis.comparison.table_document import Block
from fedmed.analysis.evaluation.evaluation_table import FEW, MARK, POOLED, interval_text, metric_heading, number_text
from fedmed.analysis.evaluation.patient_bootstrap import rows_of
from fedmed.core.errors import counted
from fedmed.core.statistics import mean_interval
from fedmed.data.lgg.lgg_split_options import DEFAULTS
from fedmed.tasks.base import Metric
from fedmed.tasks.scoring.slice_catalogue import SLICE_METRICS, SLICE_NOTES

DICE = SLICE_METRICS[0]

TITLES: Mapping[str, str] = {
    "central": "central",
    "fedavg": "federated",
    "local": "each institution alone",
    "central_group": "central, group norm",
    "fedavg_group": "federated, group norm",
}
"""The ways in words."""

PAIRS = (
    ("fedavg", "central"),
    ("local", "central"),
    ("fedavg", "local"),
    ("central_group", "central"),
    ("fedavg_group", "fedavg"),
    ("fedavg_group", "central_group"),
)
"""The ways of which the second is taken from the first, by patient."""

PUBLISHED = {"patients": 110, "mean": 0.836, "median": 0.873, "how": "22 folds, 256 pixels"}
"""Buda, Saha and Mazurowski 2019, as published."""

PATIENT = ["part", "way", "patient", "institution"]


def by_seed(scores: pd.DataFrame, metric: Metric = DICE) -> pd.DataFrame:
    """A metric's value of each patient and seed, with the columns of :data:`PATIENT`, seed and value.

    Where several sites' own models scored a patient it is the mean over them. A patient without a value is left out.

    Args:
        metric: one that is the mean of cases' values.
    """
    own = scores[scores["quantity"].isin(metric.quantities)].dropna(subset=["value"])
    return own.groupby([*PATIENT, "seed"], sort=False)["value"].mean().reset_index()


def by_patient(scores: pd.DataFrame, metric: Metric = DICE) -> pd.DataFrame:
    """A metric's value of each patient, the mean over the seeds, with the columns of :data:`PATIENT` and value."""
    return by_seed(scores, metric).groupby(PATIENT, sort=False)["value"].mean().reset_index()


def estimate(values: pd.DataFrame) -> dict[str, Any]:
    """The number of patients, the mean with its 95 % interval by patient, and the median of patients' values."""
    found = mean_interval(values["value"].to_numpy(dtype=float), values["patient"].tolist())
    return {"patients": values["patient"].nunique(), **found._asdict(), "median": float(values["value"].median())}


def figures(scores: pd.DataFrame) -> pd.DataFrame:
    """The Dice of each part and way by institution and pooled: a row each, :func:`estimate` and the means of the seeds.

    Returns:
        The columns part, way, institution, patients, value, low, high, median and seeds.
    """
    every, seeds, rows = by_patient(scores), by_seed(scores), []
    for (part, way), values in every.groupby(["part", "way"], sort=False):
        own = seeds[(seeds["part"] == part) & (seeds["way"] == way)]
        for institution in [POOLED, *sorted(set(values["institution"]))]:
            means = of_institution(own, institution).groupby("seed")["value"].mean().tolist()
            numbers = estimate(of_institution(values, institution))
            rows.append({"part": part, "way": way, "institution": institution, **numbers, "seeds": means})
    return pd.DataFrame(rows)


def differences(scores: pd.DataFrame) -> pd.DataFrame:
    """The Dice of one way less that of another on the same patients, of :data:`PAIRS`, by part.

    Returns:
        The columns part, way, less, patients, value, low, high and median.
    """
    every, rows = by_patient(scores), []
    for part, values in every.groupby("part", sort=False):
        by_way = values.pivot(index="patient", columns="way", values="value")
        for way, less in PAIRS:
            if {way, less} <= set(by_way):
                gained = (by_way[way] - by_way[less]).dropna().rename("value").reset_index()
                rows.append({"part": part, "way": way, "less": less, **estimate(gained)})
    return pd.DataFrame(rows, columns=["part", "way", "less", "patients", "value", "low", "high", "median"])


def alone(scores: pd.DataFrame) -> pd.DataFrame:
    """The mean Dice of each other site's own model at an institution left out: columns institution, site and value."""
    own = scores[(scores["part"] == HOLD_OUT) & (scores["way"] == "local") & scores["quantity"].isin(DICE.quantities)]
    return own.groupby(["institution", "site"])["value"].mean().reset_index()


def worst(found: pd.DataFrame, part: str, way: str) -> "pd.Series[Any] | None":
    """The row of :func:`figures` of the institution with the lowest mean, of those large enough to be a site."""
    own = found[(found["part"] == part) & (found["way"] == way) & (found["institution"] != POOLED)]
    own = own[own["patients"] >= DEFAULTS["fewest"]]
    return own.loc[own["value"].idxmin()] if len(own) else None


def document(scores: pd.DataFrame) -> dict[str, Any]:
    """Every number as JSON values; None stands for NaN."""
    return {
        "published": PUBLISHED,
        "figures": _records(figures(scores)),
        "differences": _records(differences(scores)),
        "others_alone": _records(alone(scores)),
        "other_scores": _records(other_scores(scores)),
        "patients": _records(by_seed(scores)),
    }


def tables(scores: pd.DataFrame, runs: Mapping[str, Mapping[str, Any]]) -> list[Block]:
    """The blocks of the document.

    Args:
        runs: settings, hours and machine of each run.
    """
    found = figures(scores)
    blocks = [Block(in_words(runs, scores["seed"].nunique()))]
    if FOLDS in set(scores["part"]):
        blocks += [
            Block("Dice by patient, test patients of all folds", _pooled_table(found)),
            Block("Dice by institution, test patients of all folds", _institutions_table(found)),
            Block("Other scores, test patients of all folds", _others_table(other_scores(scores))),
        ]
    if HOLD_OUT in set(scores["part"]):
        blocks.append(Block("Dice at an institution that nobody trained on", _held_out_table(found, scores)))
    gained = differences(scores)
    if len(gained):
        blocks.append(Block("Differences of Dice by patient", _differences_table(gained)))
    return [*blocks, _notes()]


def in_words(runs: Mapping[str, Mapping[str, Any]], seeds: int) -> str:
    """Network, size and rounds, seeds, and the hours of the runs with their machines, in a line."""
    first = next(iter(runs.values()))
    task, training = first["task"], first["training"]
    machines = " and ".join(dict.fromkeys(str(run["machine"]) for run in runs.values()))
    hours = sum(float(run["hours"]) for run in runs.values())
    network = task["network"] or "unet"
    each = f"{counted(training['num_rounds'], 'round')} of {training['aggregation_epochs']:g} local epochs"
    return (
        f"{network}, {task['image_size']} pixels, {each}, {counted(seeds, 'seed')}; "
        f"{counted(len(runs), 'run')} of {hours:.1f} hours on {machines}"
    )


def other_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """The other metrics over the test patients of the folds, the mean over the seeds: columns way, metric and value."""
    own, rows = scores[scores["part"] == FOLDS], []
    for way, of_way in own.groupby("way", sort=False):
        for metric in SLICE_METRICS[1:]:
            values = [figure(metric, of_seed) for _, of_seed in of_way.groupby("seed")]
            rows.append({"way": way, "metric": metric.name, "value": float(np.mean(values))})
    return pd.DataFrame(rows, columns=["way", "metric", "value"])


def figure(metric: Metric, scores: pd.DataFrame) -> float:
    """A metric of one run's patients; of one made of rows, without those whom several sites' own models scored."""
    if metric.combines == "values":
        return float(by_patient(scores, metric)["value"].mean())
    once = scores.groupby("case")["site"].transform("nunique") == 1
    return metric.reduce(rows_of(scores[once & scores["quantity"].isin(metric.quantities)]))


def _pooled_table(found: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for _, row in found[(found["part"] == FOLDS) & (found["institution"] == POOLED)].iterrows():
        lowest = worst(found, FOLDS, row["way"])
        rows.append({
            "model": TITLES[row["way"]],
            "patients": row["patients"],
            "mean [95 % interval]": interval_text(row, DICE),
            "median": number_text(row["median"], DICE),
            "each seed": _joined(row["seeds"]),
            "worst institution": "-" if lowest is None else f"{lowest['institution']} {interval_text(lowest, DICE)}",
        })  # fmt: skip
    numbers = {"mean [95 % interval]": f"{PUBLISHED['mean']}", "median": f"{PUBLISHED['median']}"}
    name = f"Buda et al. 2019, as published ({PUBLISHED['how']})"
    rows.append({"model": name, "patients": PUBLISHED["patients"], **numbers})
    return pd.DataFrame(rows).fillna("-")


def _institutions_table(found: pd.DataFrame) -> pd.DataFrame:
    own = found[(found["part"] == FOLDS) & (found["institution"] != POOLED)]
    rows = []
    for code, of_code in own.groupby("institution"):
        cells = {TITLES[row["way"]]: interval_text(row, DICE) for _, row in of_code.iterrows()}
        rows.append({"institution": code, "patients": of_code["patients"].max(), **cells})
    return pd.DataFrame(rows).fillna("-")


def _others_table(found: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for way, of_way in found.groupby("way", sort=False):
        values = of_way.set_index("metric")["value"]
        cells = {metric_heading(metric): number_text(values[metric.name], metric) for metric in SLICE_METRICS[1:]}
        rows.append({"model": TITLES[str(way)], **cells})
    return pd.DataFrame(rows)


def _held_out_table(found: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """A row an institution, and one of all of them: without it, and, of the folds, with it."""
    of_sites, rows = alone(scores), []
    held_out = sorted(set(scores[scores["part"] == HOLD_OUT]["institution"]))
    of_all = (found["part"] == FOLDS) & (found["institution"] == POOLED)
    both = pd.concat([found[~of_all], figures_with(scores, held_out)])
    for code in [*held_out, POOLED]:
        row = {"institution": code}
        for part, ending in ((HOLD_OUT, ""), (FOLDS, ", with it")):
            own = both[(both["part"] == part) & (both["institution"] == code)].set_index("way")
            for way in [way for way in ("central", "fedavg", "local") if way in own.index]:
                titles = {"local": "the others alone" if part == HOLD_OUT else "it alone"}
                row["patients"] = str(own.loc[way, "patients"])
                row[titles.get(way, TITLES[way] + ending)] = interval_text(own.loc[way], DICE)
        values = of_sites[of_sites["institution"] == code]["value"]
        if len(values):
            row["lowest and highest of them"] = f"{values.min():.4f}, {values.max():.4f}"
        rows.append(row)
    return pd.DataFrame(rows).fillna("-")


def figures_with(scores: pd.DataFrame, institutions: Sequence[str]) -> pd.DataFrame:
    """The pooled rows of :func:`figures` of the folds, over the patients of some institutions alone."""
    own = scores[(scores["part"] == FOLDS) & scores["institution"].isin(institutions)]
    found = figures(own) if len(own) else pd.DataFrame(columns=["part", "institution", "way"])
    return found[found["institution"] == POOLED]


def _differences_table(found: pd.DataFrame) -> pd.DataFrame:
    parts = {FOLDS: "all folds", HOLD_OUT: "left out"}
    rows = [
        {
            "patients of": parts[row["part"]],
            "model": TITLES[row["way"]],
            "less": TITLES[row["less"]],
            "patients": row["patients"],
            "mean [95 % interval]": interval_text(row, DICE),
            "median": number_text(row["median"], DICE),
        }
        for _, row in found.iterrows()
    ]
    return pd.DataFrame(rows)


def _notes() -> Block:
    told = [
        "Patients are scored by models that did not learn from them; a patient's Dice is the mean over the seeds.",
        f"[] is the 95 % interval of the mean over patients drawn anew; {MARK} of fewer than {FEW} patients.",
        f"An institution with fewer than {DEFAULTS['fewest']} patients is no site: nobody trains on it, each site's "
        "own model scores it in the folds, and it is not the worst institution.",
        *SLICE_NOTES,
    ]
    return Block("Notes", items=told)


def of_institution(values: pd.DataFrame, institution: str) -> pd.DataFrame:
    """The rows of an institution, or all of them."""
    return values if institution == POOLED else values[values["institution"] == institution]


def _joined(values: Sequence[float]) -> str:
    return ", ".join(number_text(value, DICE) for value in values)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value
