"""The hippocampus set as a federation: all cases in one place, FedAvg over sites of one source, every site alone.

python dataset_hippocampus/prepare.py split TREE --out LISTS
python benchmarks/hippocampus.py --dataset_base_dir TREE --datalist_json_path LISTS --out figs/hippocampus
python benchmarks/hippocampus.py ... --env poc -- --num_rounds 20      what stands behind -- goes to every run

Each run is one of job.py, and each model is scored on the cases of test.json, which no run has seen. A run whose folder
says that it is finished is not made again, so that the same command goes on after an interruption.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.finished_runs import draw_curves, finished_run, read_study, run_options, study_parser
from fedmed.analysis.evaluation.evaluation_folder import EVALUATION, EvaluationFolder
from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
from fedmed.analysis.evaluation.run_evaluation import evaluate
from fedmed.analysis.study.learning_speed import validation_curve
from fedmed.analysis.study.scores_over_seeds import mean_and_spread
from fedmed.analysis.study.study_files import write_study
from fedmed.core import machine
from fedmed.core.cli import echo, run_script
from fedmed.core.errors import InputError
from fedmed.data.datalist import TEST_LIST
from fedmed.runs.run_folder import RunFolder

WAYS: Mapping[str, Sequence[str]] = {
    "central": ("--n_clients", "1"),
    "fedavg": (),
    "local": ("--algorithm", "local"),
}
"""The options of each way, behind those of all runs."""

FIGURES = {"dice": "Dice", "hd95": "HD95 (mm)", "surface_dice": "surface Dice"}
"""The quantities of the table by their titles; Dice comes by target and by source too."""

COLORS = {"central": "#d55e00", "fedavg": "#0072b2"}
"""Of the models of all cases; sites alone are grey."""

ALONE = " alone"
"""Behind the name of a site whose own model is scored."""


def main(arguments: Sequence[str]) -> None:
    """Make the runs that are missing, score them, and print the table; with ``--out`` write it with a figure."""
    args = read_arguments(arguments)
    split = read_split(args.datalist_json_path)
    args.n_clients = len(split["sites"])
    options = {
        (way, seed): run_options("hippocampus", way, seed, args, WAYS[way])
        for seed in range(args.seeds)
        for way in WAYS
    }
    runs = {made: finished_run(given, args.artifacts) for made, given in options.items()}
    sources = {row["case"]: row["source"] for row in split["test"]}
    scores = pd.concat([scores_on_test(run, way, seed, sources) for (way, seed), run in runs.items()])
    numbers, labels = by_seed(scores), labels_of(split)
    text = table(numbers, labels)
    echo(text)
    if args.out:
        about = {"settings": settings_of(args), "machine": machine.describe(), "models": labels}
        curves = {
            way: [validation_curve(runs[way, seed]) for seed in range(args.seeds)] for way in ("central", "fedavg")
        }
        write(args.out, about, numbers, curves, text)


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; ``job`` are the options behind ``--``."""
    return read_study(study_parser(__doc__ or "", "hippocampus", seeds=3), arguments)


def read_split(lists: Path) -> dict[str, Any]:
    """The record of the split, which must be by source with a test.

    Raises:
        InputError: it is not there, or of another kind.
    """
    record = lists / "split.json"
    try:
        split: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        ok = (
            all("source" in site for site in split["sites"].values())
            and split["test"]
            and (lists / TEST_LIST).is_file()
        )
    except (OSError, ValueError, KeyError, TypeError):
        ok = False
    if not ok:
        raise InputError(
            f"{lists} holds no split by source with a test; make one with dataset_hippocampus/prepare.py split."
        )
    return split


def scores_on_test(run: RunFolder, way: str, seed: int, sources: Mapping[str, str]) -> pd.DataFrame:
    """The numbers of every test case: model, seed, source, target, quantity, value."""
    evaluate(run.path, run.name, EvaluationRequest(model="best", split="test"))
    cases = EvaluationFolder(run.path / EVALUATION / "best-test").cases()
    models = cases["site"] + ALONE if way == "local" else way
    return cases.assign(model=models, seed=seed, source=cases["case"].map(sources))


def by_seed(scores: pd.DataFrame) -> dict[str, dict[str, list[float]]]:
    """Means over cases and targets, a number a seed, by model and column of the table."""
    kept = scores[scores["quantity"].isin(list(FIGURES))]
    dice = kept[kept["quantity"] == "dice"]
    columns = {title: kept[kept["quantity"] == name] for name, title in FIGURES.items()}
    columns |= {f"{target}": dice[dice["target"] == target] for target in dict.fromkeys(dice["target"])}
    columns |= {f"on {source}": dice[dice["source"] == source] for source in sorted(set(dice["source"]))}
    return {
        model: {
            title: part[part["model"] == model].groupby("seed")["value"].mean().tolist()
            for title, part in columns.items()
        }
        for model in dict.fromkeys(scores["model"])
    }


def labels_of(split: Mapping[str, Any]) -> dict[str, str]:
    """The models in words: the source and the number of training cases."""
    counts = {site: len(found["training"]) for site, found in split["sites"].items()}
    total = f"{sum(counts.values())} cases"
    alone = {f"{site}{ALONE}": f"{found['source']}, {counts[site]} cases" for site, found in split["sites"].items()}
    return {"central": total, "fedavg": f"{total} at {len(counts)} sites", **alone}


def table(numbers: Mapping[str, Mapping[str, Sequence[float]]], labels: Mapping[str, str]) -> str:
    """Markdown: a row a model, mean and standard deviation over the seeds."""
    columns = list(next(iter(numbers.values())))
    lines = ["| model | trained on | " + " | ".join(columns) + " |", "|---|---" + "|---:" * len(columns) + "|"]
    for model in (model for model in labels if model in numbers):
        cells = " | ".join(mean_and_spread(numbers[model][column]) for column in columns)
        lines.append(f"| {model} | {labels[model]} | {cells} |")
    return "\n".join(lines)


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """The command line as JSON values, without places of this machine."""
    return {"env": args.env, "seeds": args.seeds, "job": args.job, "n_clients": args.n_clients}


def write(
    out: Path,
    about: Mapping[str, Any],
    numbers: Mapping[str, Mapping[str, Sequence[float]]],
    curves: Mapping[str, Sequence[Mapping[int, float]]],
    text: str,
) -> None:
    """The study's files; :func:`write_study` names them."""
    figure = Figure(figsize=(10.5, 3.8), layout="constrained")
    scores, lines = figure.subplots(1, 2)
    draw_scores(scores, numbers, about["models"])
    draw_curves(lines, curves, COLORS, "mean Dice on the validation cases")
    write_study(out, {**about, "by_seed": numbers, "validation_dice": curves}, text, figure)


def draw_scores(axes: Axes, numbers: Mapping[str, Mapping[str, Sequence[float]]], labels: Mapping[str, str]) -> None:
    """The mean Dice on the test cases, a stroke a model, and a point a seed."""
    models = [model for model in labels if model in numbers]
    for place, model in enumerate(models):
        values = numbers[model][FIGURES["dice"]]
        color = COLORS.get(model, "0.5")
        axes.scatter(np.mean(values), place, marker="|", s=500, linewidths=3, color=color)
        axes.scatter(values, [place] * len(values), color="black", s=10, zorder=3)
        axes.annotate(
            f"{np.mean(values):.3f}", (float(np.mean(values)), place), (0, 14), textcoords="offset points",
            ha="center", fontsize=8,
        )  # fmt: skip
    axes.set_yticks(range(len(models)), [f"{model}\n{labels[model]}" for model in models], fontsize=8)
    axes.set_ylim(len(models) - 0.4, -0.8)
    axes.grid(axis="x", color="0.9")
    axes.margins(x=0.1)
    axes.set_xlabel("mean Dice on the test cases; a point a seed")


if __name__ == "__main__":
    sys.exit(run_script(main, stopped="runs that are finished stay; the same command goes on"))
