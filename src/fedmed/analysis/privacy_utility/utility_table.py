"""Finished runs as a table of epsilon and scores: a row a run, then a row for the runs that differ in their seeds."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fedmed.analysis.comparison.configuration import own_options, shown, training_options, varying
from fedmed.analysis.comparison.run_cost import spent
from fedmed.analysis.evaluation.case_scoring import caching_after, score
from fedmed.analysis.evaluation.evaluation_cases import validation_cases
from fedmed.analysis.evaluation.evaluation_text import headline
from fedmed.analysis.evaluation.trained_model import open_model
from fedmed.core.errors import InputError, counted
from fedmed.core.options import to_plain
from fedmed.data.audit.case_facts import FactsBook
from fedmed.data.phantoms.phantom import is_phantom
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import Metric

SAME = ["mechanism", "unit", "guarantee", "options"]
"""Runs that are alike in these columns differ in their seeds alone."""


def read_runs(runs: Sequence[RunFolder]) -> pd.DataFrame:
    """A row a run: its mechanism, options, seed and privacy spent, and its final model's scores by metric.

    Raises:
        InputError: a run is unfinished, is of other data or another task than the first, or comes twice.
    """
    for run in runs:
        if run.read_json("status")["status"] != "finished":
            raise InputError(f"{run.path} is no finished run; wait for its end, or name others.")
        refuse_other(run, runs[0])
    experiments = [run.experiment() for run in runs]
    table = pd.DataFrame({**vars(spent(run)), **scores(run)} for run in runs)
    table.insert(0, "run", RunFolder.labels([run.path for run in runs]))
    table.insert(1, "mechanism", [experiment.privacy.name for experiment in experiments])
    table.insert(2, "options", differing_options(experiments))
    table.insert(3, "seed", [experiment.training.seed for experiment in experiments])
    twice = table[table.duplicated([*SAME, "seed"], keep=False)]["run"].tolist()
    if twice:
        raise InputError(f"{twice[0]} and {twice[1]} are the same experiment with the same seed; give one of them.")
    return table


def refuse_other(run: RunFolder, first: RunFolder) -> None:
    """Refuse a run whose scores cannot be held against the first one's.

    Raises:
        InputError: it is of another task or of other data.
    """
    ours, theirs = run.experiment(), first.experiment()
    differences = {
        "another task": (ours.task.name, theirs.task.name),
        "another dataset": (ours.data.dataset_base_dir, theirs.data.dataset_base_dir),
        "other cases": (run.read_json("dataset_splits"), first.read_json("dataset_splits")),
    }
    for what, (one, other) in differences.items():
        if one != other:
            how = "" if isinstance(one, dict) else f" ({one}, not {other})"
            raise InputError(f"{run.path} has {what} than {first.path}{how}; give runs of one task on the same data.")


def differing_options(experiments: Sequence[Experiment]) -> list[str]:
    """In words, each one's privacy options and whatever else the experiments differ in, other than the seed."""
    others = [_other_options(experiment) for experiment in experiments]
    differing = varying(others)
    texts = []
    for experiment, other in zip(experiments, others, strict=True):
        values = own_options(experiment.privacy) | {name: other[name] for name in differing if name in other}
        texts.append(", ".join(f"{name} {shown(value)}" for name, value in values.items() if value is not None))
    return texts


def _other_options(experiment: Experiment) -> dict[str, Any]:
    options = {**to_plain(experiment.algorithm), **training_options(experiment)}
    return {"algorithm": experiment.algorithm.name, **{name: options[name] for name in options if name != "seed"}}


def scores(run: RunFolder) -> dict[str, float | None]:
    """The final model's figure over all validation cases and targets, by each metric of the task's headline.

    It is the last model, not the best: under a formal guarantee no scores leave the sites, so none is chosen.
    """
    experiment = run.experiment()
    held = caching_after(experiment, run.name)
    listed = validation_cases(experiment, FactsBook(held.disk))
    rows = score(open_model(run.path, "last"), listed.cases, listed.label_scheme, held)
    return {
        metric.name: None if math.isnan(value := metric.reduce(rows)) else value
        for metric in headline(experiment.task.METRICS)
    }


def data_in_words(runs: Sequence[RunFolder]) -> str:
    """One line of the data, rounds and seeds that the numbers come from."""
    experiments = [run.experiment() for run in runs]
    splits = runs[0].read_json("dataset_splits")
    validation = {case for site in splits.values() for case in site["validation"]}
    cases = sorted({len(site["training"]) for site in splits.values()})
    rounds = sorted({experiment.training.num_rounds for experiment in experiments})
    epochs = sorted({experiment.training.aggregation_epochs for experiment in experiments})
    seeds = sorted({experiment.training.seed for experiment in experiments})
    dataset, _ = experiments[0].data.resolved()
    return ", ".join(
        (
            "phantoms" if is_phantom(dataset) else dataset.name,
            f"{counted(len(splits), 'site')} with {_either(cases)} training cases each",
            counted(len(validation), "validation case"),
            f"{_either(rounds)} rounds x {_either(epochs)} epochs",
            f"{'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))}",
        )
    )


def _either(values: Sequence[float]) -> str:
    return " or ".join(map(str, values))


def pooled(runs: pd.DataFrame, metrics: Sequence[Metric]) -> pd.DataFrame:
    """A row for the runs that differ in their seeds alone: the mean, least and largest score, the largest epsilon."""
    found = {"seeds": ("seed", "nunique"), "epsilon": ("epsilon", "max"), "delta": ("delta", "max")}
    for metric in metrics:
        ends = (("", "mean"), ("_min", "min"), ("_max", "max"))
        found |= {f"{metric.name}{end}": (metric.name, how) for end, how in ends}
    numbers = runs.astype(dict.fromkeys(("epsilon", "delta", *(metric.name for metric in metrics)), float))
    return numbers.groupby(SAME, sort=False).agg(**found).reset_index()


def markdown(rows: pd.DataFrame, metrics: Sequence[Metric]) -> str:
    """A line a row."""
    titles = ["mechanism", "unit", "guarantee", "options", "epsilon", "delta", *(each.title for each in metrics)]
    lines = [f"| {' | '.join(titles)} | seeds |", f"|---|---|---|---|{'---:|' * (len(metrics) + 3)}"]
    for row in rows.to_dict("records"):
        cells = [row["mechanism"], row["unit"], row["guarantee"], row["options"] or "-"]
        cells += [_number(row["epsilon"]), _number(row["delta"]), *(_spread(row, each.name) for each in metrics)]
        lines.append(f"| {' | '.join(cells)} | {row['seeds']} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _spread(row: Mapping[Any, Any], metric: str) -> str:
    span = f" ({row[f'{metric}_min']:.3f} to {row[f'{metric}_max']:.3f})" if row["seeds"] > 1 else ""
    return f"{row[metric]:.3f}{span}"


def as_json(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as JSON values, null where there is no number."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    return rows
