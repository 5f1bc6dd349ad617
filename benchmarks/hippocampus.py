"""The hippocampus set as a federation: all cases in one place, FedAvg over sites of one source, every site alone.

python dataset_hippocampus/prepare.py split TREE --out LISTS
python benchmarks/hippocampus.py --dataset_base_dir TREE --datalist_json_path LISTS --out figs/hippocampus
python benchmarks/hippocampus.py ... --env poc -- --num_rounds 20      what stands behind -- goes to every run

Each run is one of job.py, and each model is scored on the cases of test.json, which no run has seen. A run whose folder
says that it is finished is not made again, so that the same command goes on after an interruption.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedmed.analysis.evaluation.evaluation_folder import EVALUATION, EvaluationFolder
from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
from fedmed.analysis.evaluation.run_evaluation import evaluate
from fedmed.command_line import read_experiment
from fedmed.core import machine
from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.core.errors import InputError, RunFailed
from fedmed.core.files import write_whole
from fedmed.core.settings import Data
from fedmed.data.datalist import TEST_LIST
from fedmed.experiment import Experiment
from fedmed.runs.history import scores_of
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
    runs = {(way, seed): finished_run(way, seed, args) for seed in range(args.seeds) for way in WAYS}
    sources = {row["case"]: row["source"] for row in split["test"]}
    scores = pd.concat([scores_on_test(run, way, seed, sources) for (way, seed), run in runs.items()])
    numbers, labels = by_seed(scores), labels_of(split)
    text = table(numbers, labels)
    echo(text)
    if args.out:
        about = {"settings": settings_of(args), "machine": machine.describe(), "models": labels}
        curves = {way: [curve(runs[way, seed]) for seed in range(args.seeds)] for way in ("central", "fedavg")}
        write(args.out, about, numbers, curves, text)


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; ``job`` are the options behind ``--``."""
    own, job = list(arguments), []
    if "--" in own:
        place = own.index("--")
        own, job = own[:place], own[place + 1 :]
    here = Data.of_this_site()
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("dataset_base_dir", "datalist_json_path"):
        place_here = getattr(here, name)
        parser.add_argument(f"--{name}", type=absolute_path, default=place_here, required=place_here is None)
    parser.add_argument("--env", default="sim", help="environment of every run (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="repetitions with seeds 0, 1, 2, ... (default: 3)")
    parser.add_argument(
        "--artifacts", type=absolute_path, default=HERE.parent / "artifacts" / "hippocampus", help="folder of the runs"
    )
    parser.add_argument("--out", type=absolute_path, help="write OUT.json, OUT.md and OUT.png")
    args = parser.parse_args(own)
    args.job = job
    return args


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


def options_of(way: str, seed: int, args: argparse.Namespace) -> list[str]:
    """The command line of one run."""
    data = ["--dataset_base_dir", str(args.dataset_base_dir), "--datalist_json_path", str(args.datalist_json_path)]
    place = ["--artifacts", str(args.artifacts), "--job_name", f"{way}-seed{seed}"]
    chosen = ["--task", "hippocampus", "--n_clients", str(args.n_clients), "--seed", str(seed), "--env", args.env]
    return [*data, *place, *chosen, *args.job, *WAYS[way]]


def finished_run(way: str, seed: int, args: argparse.Namespace) -> RunFolder:
    """The finished run of a way and seed, made if it is missing.

    Raises:
        InputError: a finished run of that name has other settings.
        RunFailed: the run failed.
    """
    options = options_of(way, seed, args)
    wanted = read_experiment(options)
    found = _finished(args.artifacts, wanted)
    if found is None:
        command = [sys.executable, str(HERE.parent / "job.py"), *options]
        if subprocess.run(command).returncode != 0:
            raise RunFailed(f"The run {way} with seed {seed} failed; its output is above.")
        found = _finished(args.artifacts, wanted)
    if found is None:
        raise RunFailed(f"The run {way} with seed {seed} left no finished folder in {args.artifacts}.")
    return found


def _finished(artifacts: Path, wanted: Experiment) -> RunFolder | None:
    for path in sorted(artifacts.glob(f"{wanted.job_name}-[0-9]*"), reverse=True):
        run = RunFolder(path)
        if run.status != "finished":
            continue
        if comparable(run.experiment()) != comparable(wanted):
            raise InputError(
                f"{path} is a run with other settings; name another folder with --artifacts, or remove it."
            )
        return run
    return None


def comparable(experiment: Experiment) -> Experiment:
    """The experiment without what a run fills in: its identity, and the places of its folder and its cache."""
    return replace(experiment, data=replace(experiment.data, cache_dir=None), artifacts=None, run_id=None)


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
        cells = " | ".join(cell(numbers[model][column]) for column in columns)
        lines.append(f"| {model} | {labels[model]} | {cells} |")
    return "\n".join(lines)


def cell(values: Sequence[float]) -> str:
    """Mean and, of several seeds, the sample's standard deviation."""
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def curve(run: RunFolder) -> dict[int, float]:
    """The validation Dice of the global model by round."""
    found = {int(record["round"]): scores_of(record).get("val_dice") for record in run.records()}
    return {number: score for number, score in found.items() if score is not None}


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
    """``out``.json with every seed's numbers, ``out``.md with the table, ``out``.png with the figure."""
    out.parent.mkdir(parents=True, exist_ok=True)
    document = {**about, "by_seed": numbers, "validation_dice": curves}
    write_whole(out.with_suffix(".json"), (json.dumps(document, indent=2) + "\n").encode())
    write_whole(out.with_suffix(".md"), f"{text}\n".encode())
    figure = Figure(figsize=(10.5, 3.8), layout="constrained")
    scores, lines = figure.subplots(1, 2)
    draw_scores(scores, numbers, about["models"])
    draw_curves(lines, curves)
    figure.supxlabel(machine.one_line(about["machine"]), fontsize=8, color="0.35")
    figure.savefig(out.with_suffix(".png"), dpi=120)


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


def draw_curves(axes: Axes, curves: Mapping[str, Sequence[Mapping[int, float]]]) -> None:
    """Validation Dice by round, a line a seed."""
    for way, seeds in curves.items():
        for number, scores in enumerate(seeds):
            label = way if number == 0 else None
            axes.plot(list(scores), list(scores.values()), color=COLORS[way], alpha=0.8, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("rounds")
    axes.set_ylabel("mean Dice on the validation cases")
    axes.legend(fontsize=8)


if __name__ == "__main__":
    sys.exit(run_script(main, stopped="runs that are finished stay; the same command goes on"))
