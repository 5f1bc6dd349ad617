"""Brain MR pictures as a federation: all in one place, FedAvg, the preset for hospitals that lack classes, one round of
each site's best epoch, every site alone.

python dataset_brain_mri/prepare.py split TREE --out LISTS --drop_duplicates
python benchmarks/brain_mri.py --dataset_base_dir TREE --datalist_json_path LISTS --out figs/brain_mri
python benchmarks/brain_mri.py ... --env poc -- --num_rounds 20        what stands behind -- goes to every run

Each run is one of job.py, and each model is scored on the pictures of test.json, which no run has seen; also on those
of them that test_without_*.json beside it names (prepare.py split, benchmarks/near_duplicates.py --lists). A run whose
folder says that it is finished is not made again, so that the same command goes on after an interruption.
"""

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
from benchmarks.scored_models import tested
from fedmed.analysis.evaluation.evaluation_table import OVERALL, POOLED
from fedmed.analysis.evaluation.patient_bootstrap import rows_of
from fedmed.analysis.study.learning_speed import validation_curve
from fedmed.analysis.study.scores_over_seeds import Numbers, draw_scores, table, widest
from fedmed.analysis.study.study_files import write_study
from fedmed.core import machine
from fedmed.core.cli import echo, run_script
from fedmed.core.errors import InputError
from fedmed.data.datalist import TEST_LIST, TESTING
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.scoring.classification_metrics import ACCURACY, AUROC, BALANCED_ACCURACY, CALIBRATION_ERROR
from fedmed.tasks.scoring.metric import Metric

WAYS: Mapping[str, Sequence[str]] = {
    "central": ("--n_clients", "1"),
    "trained_statistics": ("--running_statistics", "trained"),
    "fedavg": (),
    "by_hospital": ("--algorithm", "fednova", "--preset", "by_hospital"),
    "once": ("--num_rounds", "1", "--aggregation_epochs", "12", "--send", "best"),
    "local": ("--algorithm", "local"),
}
"""The options of each way, behind those of all runs.

``trained_statistics`` is FedAvg as others have it, with the mean of the sites' running statistics; ``once`` is the
published way, each site's best of 12 epochs.
"""

FIGURES: Sequence[Metric] = (ACCURACY, BALANCED_ACCURACY, AUROC, CALIBRATION_ERROR)
"""The columns over all test pictures; accuracy comes by hospital, and without copies, too."""

CLEANER = "test_without_*.json"
"""Lists of fewer test pictures, beside test.json."""

COLORS = {
    "central": "#d55e00",
    "trained_statistics": "#56b4e9",
    "fedavg": "#0072b2",
    "by_hospital": "#cc79a7",
    "once": "#009e73",
}
"""Of the models of all pictures; sites alone are grey."""

ALONE = " alone"
"""Behind the name of a site whose own model is scored."""


def main(arguments: Sequence[str]) -> None:
    """Make the runs that are missing, score them, and print the table; with ``--out`` write it with a figure."""
    parser = study_parser(__doc__ or "", "brain_mri", seeds=2)
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=list(WAYS), help="(default: all)")
    args = read_study(parser, arguments)
    parts = parts_of_test(args.datalist_json_path)
    sites = site_labels(args.datalist_json_path)
    args.n_clients = len(sites)
    options = {
        (way, seed): run_options("brain_mri", way, seed, args, WAYS[way])
        for seed in range(args.seeds)
        for way in args.ways
    }
    runs = {made: finished_run(given, args.artifacts) for made, given in options.items()}
    tables = [scores_on_test(run, way, seed, args.datalist_json_path) for (way, seed), run in runs.items()]
    numbers = by_seed(pd.concat([cases for cases, _ in tables]), parts)
    bounds = widest(pd.concat([bounds for _, bounds in tables]))
    labels = labels_of(sites)
    text = table(numbers, bounds, labels)
    echo(text)
    if args.out:
        settings = {name: getattr(args, name) for name in ("env", "seeds", "job", "ways")}
        about = {"settings": settings, "machine": machine.describe(), "models": labels, "bounds": bounds}
        write(args.out, about, numbers, curves_of(runs), text)


def curves_of(runs: Mapping[tuple[str, int], RunFolder]) -> dict[str, list[dict[float, float]]]:
    """The curves of the ways of several rounds and one model, a seed each."""
    return {
        way: [by_epoch(run) for (made, _), run in runs.items() if made == way]
        for way in COLORS
        if way != "once" and any(made == way for made, _ in runs)
    }


def by_epoch(run: RunFolder) -> dict[float, float]:
    """The validation curve of a run by local epochs, so that runs of other rounds compare."""
    epochs = run.experiment().training.aggregation_epochs
    return {number * epochs: score for number, score in validation_curve(run).items()}


def parts_of_test(lists: Path) -> dict[str, set[str]]:
    """The names of the test pictures of each hospital, and of each list that leaves copies out, by title.

    Raises:
        InputError: the lists have no test pictures.
    """
    found = _testing(lists / TEST_LIST)
    parts: dict[str, set[str]] = {}
    for entry in found:
        if "hospital" in entry:
            parts.setdefault(f"at {entry['hospital']}", set()).add(entry["name"])
    for path in sorted(lists.glob(CLEANER), reverse=True):
        clean = _testing(path)
        if len(clean) < len(found):
            parts[f"{path.stem.removeprefix('test_').replace('_', ' ')} ({len(clean)})"] = {e["name"] for e in clean}
    return parts


def _testing(path: Path) -> list[dict[str, Any]]:
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))[TESTING]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} names no test pictures ({error}); make the lists with dataset_brain_mri/prepare.py split."
        ) from error
    return entries


def site_labels(lists: Path) -> dict[str, tuple[str, int]]:
    """The hospital of each site, empty where it is none, and its number of training pictures."""
    found = json.loads((lists / "split.json").read_text(encoding="utf-8"))["sites"]
    return {site: (str(of_site.get("hospital", "")), len(of_site["training"])) for site, of_site in found.items()}


def labels_of(sites: Mapping[str, tuple[str, int]]) -> dict[str, str]:
    """The models in words: the hospital and the number of training pictures."""
    total = f"{sum(count for _, count in sites.values()):,} pictures"
    joint = {way: total if way == "central" else f"{total} at {len(sites)} sites" for way in COLORS}
    return {
        **joint,
        **{f"{site}{ALONE}": f"{name}, {n:,} pictures".removeprefix(", ") for site, (name, n) in sites.items()},
    }


def scores_on_test(run: RunFolder, way: str, seed: int, lists: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of every test picture with model and seed, and the bounds of the pooled accuracy's interval."""
    made = tested(run, "best", lists / TEST_LIST)
    cases, figures = made.cases(), made.table()
    models = cases["site"] + ALONE if way == "local" else way
    chosen = figures[(figures["metric"] == ACCURACY.name) & (figures["target"] == OVERALL)]
    chosen = chosen[chosen["site"] != POOLED] if way == "local" else chosen[chosen["site"] == POOLED]
    names = chosen["site"] + ALONE if way == "local" else way
    return cases.assign(model=models, seed=seed), chosen[["low", "high"]].assign(model=names, column=ACCURACY.title)


def by_seed(scores: pd.DataFrame, parts: Mapping[str, set[str]]) -> dict[str, dict[str, list[float]]]:
    """The figures of each model, a number a seed: those of :data:`FIGURES`, and the accuracy of each part."""
    found: dict[str, dict[str, list[float]]] = {}
    for (model, _), of_seed in scores.groupby(["model", "seed"], sort=False):
        columns = found.setdefault(str(model), {})
        for metric in FIGURES:
            columns.setdefault(metric.title, []).append(metric.reduce(rows_of(of_seed)))
        for title, names in parts.items():
            columns.setdefault(title, []).append(ACCURACY.reduce(rows_of(of_seed[of_seed["case"].isin(names)])))
    return found


def write(
    out: Path,
    about: Mapping[str, Any],
    numbers: Numbers,
    curves: Mapping[str, Sequence[Mapping[float, float]]],
    text: str,
) -> None:
    """The study's files; :func:`write_study` names them."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    scores, lines = figure.subplots(1, 2)
    models = draw_scores(scores, ACCURACY.title, numbers, about["bounds"], about["models"], COLORS)
    scores.set_xlabel("accuracy on the test pictures, mean over seeds, 95 % interval")
    draw_parts(scores, [numbers[model] for model in models])
    draw_curves(lines, curves, COLORS, "accuracy on the validation pictures", "local epochs")
    write_study(out, {**about, "by_seed": numbers, "validation_accuracy": curves}, text, figure)


def draw_parts(axes: Axes, figures: Sequence[Mapping[str, Sequence[float]]]) -> None:
    """The accuracy on each part of the test pictures, a mark below each model's stroke; nothing where there is none."""
    parts = [name for name in figures[0] if name not in {metric.title for metric in FIGURES}]
    for part, marker in zip(parts, "os^Dv", strict=False):
        means = [np.mean(columns[part]) for columns in figures]
        axes.scatter(means, np.arange(len(means)) + 0.22, marker=marker, s=22, color="0.2", label=part)
    if parts:
        axes.legend(fontsize=7, loc="lower left")


if __name__ == "__main__":
    sys.exit(run_script(main, stopped="runs that are finished stay; the same command goes on"))
