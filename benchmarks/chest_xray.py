"""Findings in chest films as a federation: all films in one place, every site alone, FedAvg, a part shared, FedBN.

python dataset_chest_xray/prepare.py split TREE --out LISTS
python benchmarks/chest_xray.py --dataset_base_dir TREE --datalist_json_path LISTS --out figs/chest_xray
python benchmarks/chest_xray.py ... --ways central fedavg -- --image_size 96    what stands behind -- goes to every run

Each run is one of job.py, by default small enough for a core's minute: ResNet18, 64 pixels, 6 rounds. Its last model
is scored on the films of test.json, whose patients no run has seen. "partial" is two runs: FedAvg for half the rounds
(first-seed*), and for the others --algorithm partial --share layer4,fc from that encoder, with a new head. The
same command goes on after an interruption: finished runs are not made again, and one that was cut off goes on.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import pandas as pd
from matplotlib.figure import Figure

from benchmarks.finished_runs import PROJECT, draw_curves, read_study, run_options, study_parser
from benchmarks.scored_models import tested
from fedmed.analysis.evaluation.evaluation_table import FEW
from fedmed.analysis.evaluation.patient_bootstrap import figure_interval, paired_difference, rows_of
from fedmed.analysis.study.learning_speed import validation_curve
from fedmed.analysis.study.scores_over_seeds import Bounds, Numbers, draw_scores, mean_and_spread, table, widest
from fedmed.analysis.study.study_files import write_study
from fedmed.command_line import read_experiment
from fedmed.core import machine
from fedmed.core.cli import echo, run_script
from fedmed.core.errors import InputError, counted
from fedmed.core.files import write_whole
from fedmed.core.options import expect_between
from fedmed.data.chest_xray.findings import FINDINGS
from fedmed.data.datalist import TEST_LIST
from fedmed.runs import study_runs
from fedmed.runs.run_folder import LAST, RunFolder
from fedmed.tasks.scoring.classification_metrics import AUROC, SCORE, TRUTH
from fedmed.tasks.scoring.multi_label_metrics import finding_rows

SMALL = ("--network", "resnet18", "--image_size", "64", "--batch_size", "16", "--num_rounds", "6")
"""The options of every run, which those behind ``--`` replace."""

WAYS: Mapping[str, Sequence[str]] = {
    "central": ("--n_clients", "1"),
    "local": ("--algorithm", "local"),
    "fedavg": (),
    "partial": ("--algorithm", "partial", "--share", "layer4,fc"),
    "fedbn": ("--algorithm", "fedbn"),
}
"""The options of each way, behind those of all runs."""

OWN: Mapping[str, str] = {"local": "{} alone", "fedbn": "fedbn at {}"}
"""The models of ways that end with one a site."""

COLORS = {"central": "#d55e00", "fedavg": "#0072b2", "partial": "#009e73", "fedbn": "#cc79a7", "local": "0.5"}

FIRST = "first"
"""Begins the names of the runs that train the encoders for ``partial``."""

ANY = "any finding"
"""A film's score for it is one minus the product of one minus the probabilities, as if findings were independent."""

Runs = Mapping[tuple[str, int], RunFolder]
"""The finished run of each way and seed."""


def main(arguments: Sequence[str]) -> None:
    """Make the runs that are missing, score them, and print the tables; with ``--out`` write them with a figure."""
    args = read_arguments(arguments)
    split = read_split(args.datalist_json_path)
    counts = counts_of(split)
    frequent = frequent_findings(counts, args.least)
    args.n_clients = len(split["sites"])
    rounds = stages(args)
    runs = {(way, seed): made(way, seed, rounds, args) for seed in range(args.seeds) for way in args.ways}
    test = alone(args.datalist_json_path / TEST_LIST, args.artifacts)
    scores = [scores_on_test(run, way, seed, test) for (way, seed), run in runs.items()]
    rows = pd.concat(scores, ignore_index=True)
    numbers, bounds = figures(rows, frequent, {row["case"]: row["patient"] for row in split["test"]})
    labels = labels_of(split)
    text = "\n\n".join(
        [table(numbers, bounds, labels), notes(bounds, split, args.least), table_of_findings(rows, frequent, counts)]
    )
    echo(text)
    if args.out:
        settings = {name: getattr(args, name) for name in ("env", "seeds", "job", "ways", "least")}
        about = {"settings": {**settings, "split": split["options"]}, "machine": machine.describe()}
        results = {"models": labels, "bounds": bounds, "by_seed": numbers, "counts": counts}
        write(args.out, {**about, **results}, curves_of(runs, rounds), text)


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; ``job`` are the options of every run, those behind ``--`` last."""
    parser = study_parser(__doc__ or "", "chest_xray", seeds=3)
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=list(WAYS), help="(default: all)")
    parser.add_argument(
        "--least", type=int, default=20,
        help="test films that a finding needs to have a figure (default: %(default)s)",
    )  # fmt: skip
    args = read_study(parser, arguments)
    expect_between("seeds", args.seeds, 1, 100)
    args.job = [*SMALL, *args.job]
    return args


def read_split(lists: Path) -> dict[str, Any]:
    """The record of the split, which must have a test.

    Raises:
        InputError: it is not there, or of another kind.
    """
    try:
        split: dict[str, Any] = json.loads((lists / "split.json").read_text(encoding="utf-8"))
        complete = split["test"] and split["counts"]["test"]["findings"] and (lists / TEST_LIST).is_file()
    except (OSError, ValueError, KeyError, TypeError):
        complete = False
    if not complete:
        raise InputError(f"{lists} holds no split with a test; make one with dataset_chest_xray/prepare.py split.")
    return split


def stages(args: argparse.Namespace) -> tuple[int, int]:
    """The rounds of the two runs of ``partial``, as many together as the other ways have.

    Raises:
        InputError: there are too few for two runs.
    """
    rounds = read_experiment(run_options("chest_xray", FIRST, 0, args, ())).training.num_rounds
    if rounds < 2 and "partial" in args.ways:
        raise InputError(f"--num_rounds is {rounds}; expected 2 or more, as partial halves them among two runs.")
    return rounds // 2, rounds - rounds // 2


def made(way: str, seed: int, rounds: tuple[int, int], args: argparse.Namespace) -> RunFolder:
    """The finished run of a way, and before it for ``partial`` that of the encoder."""
    if way != "partial":
        return finished(way, seed, args, WAYS[way])
    first = finished(FIRST, seed, args, ["--num_rounds", str(rounds[0])])
    encoder = ["--num_rounds", str(rounds[1]), "--pretrained", str(first.path / LAST)]
    return finished(way, seed, args, [*WAYS[way], *encoder])


def finished(name: str, seed: int, args: argparse.Namespace, given: Sequence[str]) -> RunFolder:
    """The finished run of some options behind those of all runs, made or gone on with if it is missing."""
    options = run_options("chest_xray", name, seed, args, given)
    args.artifacts.mkdir(parents=True, exist_ok=True)
    return study_runs.made(read_experiment(options), options, PROJECT / "job.py", args.artifacts, force=False)


def alone(test: Path, artifacts: Path) -> Path:
    """The test list in a folder without sites' lists, by which each site's own model is scored on all films."""
    copy = artifacts / "tested" / TEST_LIST
    copy.parent.mkdir(parents=True, exist_ok=True)
    write_whole(copy, test.read_bytes())
    return copy


def scores_on_test(run: RunFolder, way: str, seed: int, test: Path) -> pd.DataFrame:
    """The probability and the truth of every finding, and of :data:`ANY`, in every test film, with model and seed."""
    cases = tested(run, "last", test).cases()
    cases = cases[cases["quantity"].isin((SCORE, TRUTH))]
    models = cases["site"].map(OWN[way].format) if way in OWN else way
    found = cases.assign(model=models, seed=seed, way=way)
    return pd.concat([found, *(any_finding(of_model) for _, of_model in found.groupby("model"))], ignore_index=True)


def any_finding(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of normal against abnormal of one model and seed."""
    parts = (rows[rows["quantity"] == name] for name in (SCORE, TRUTH))
    scores, truth = (part.pivot(index="case", columns="target", values="value").sort_index() for part in parts)
    abnormal = 1 - (1 - scores.to_numpy(dtype=float)).prod(axis=1)
    known = truth.to_numpy(dtype=float).max(axis=1)
    films = zip(scores.index, abnormal.tolist(), known.tolist(), strict=True)
    found = [row for case, score, has in films for row in finding_rows(str(case), [ANY], [score], [has])]
    first = rows.iloc[0]
    return pd.DataFrame(found).assign(model=first["model"], seed=first["seed"], way=first["way"])


def figures(rows: pd.DataFrame, frequent: Sequence[str], patients: Mapping[str, str]) -> tuple[Numbers, Bounds]:
    """AUROC over all test films at once, the mean of the frequent findings and that of any; intervals by patient.

    Beside them stands the difference of the mean to that of FedAvg with the same seed, on the same patients drawn anew.
    """
    columns = {f"mean AUROC of {counted(len(frequent), 'finding')}": frequent, f"AUROC of {ANY}": [ANY]}
    found = [
        {"model": model, "column": column, **figure_interval(AUROC, of_some(of_seed, targets), patients)._asdict()}
        for (model, _), of_seed in rows.groupby(["model", "seed"], sort=False)
        for column, targets in columns.items()
    ]
    table = pd.DataFrame([*found, *differences(of_some(rows, frequent), patients)])
    numbers: dict[str, dict[str, list[float]]] = {}
    for (model, column), values in table.groupby(["model", "column"], sort=False)["value"]:
        numbers.setdefault(str(model), {})[str(column)] = values.tolist()
    return numbers, widest(table)


def of_some(rows: pd.DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """The rows of some findings."""
    return rows[rows["target"].isin(targets)]


def differences(rows: pd.DataFrame, patients: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The mean AUROC of each other model less that of FedAvg, by seed, with its interval."""
    fedavg = rows[rows["model"] == "fedavg"]
    for (model, seed), of_seed in rows.groupby(["model", "seed"], sort=False):
        if model != "fedavg" and seed in set(fedavg["seed"]):
            found, _ = paired_difference(AUROC, [(of_seed, fedavg[fedavg["seed"] == seed])], patients)
            yield {"model": model, "column": "the mean less fedavg's", **found._asdict()}


def counts_of(split: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """The films with each finding in the sites' training and in the test, and the test's patients who have it."""
    of_parts = split["counts"]
    patients = {
        name: {row["patient"] for row in split["test"] if name in row["findings"].split("|")} for name in FINDINGS
    }
    return {
        name: {
            "training": sum(of_parts[site]["findings"][name] for site in split["sites"]),
            "test": of_parts["test"]["findings"][name],
            "test patients": len(patients[name]),
        }
        for name in FINDINGS
    }


def frequent_findings(counts: Mapping[str, Mapping[str, int]], least: int) -> list[str]:
    """The findings that so many test films show, of enough patients for an interval.

    Raises:
        InputError: there is none.
    """
    found = [name for name in FINDINGS if counts[name]["test"] >= least and counts[name]["test patients"] >= FEW]
    if not found:
        raise InputError(
            f"No finding is in {counted(least, 'test film')} of {FEW} patients; lower --least, or split with a larger "
            "--test."
        )
    return found


def labels_of(split: Mapping[str, Any]) -> dict[str, str]:
    """The models in words, in the order of the table: the number of training films."""
    films = {site: len(found["training"]) for site, found in split["sites"].items()}
    total = f"{sum(films.values()):,} films"
    joint = f"{total} at {len(films)} sites"
    alone = {OWN["local"].format(site): f"{count:,} films" for site, count in films.items()}
    fedbn = {OWN["fedbn"].format(site): joint for site in films}
    return {"central": total, **alone, "fedavg": joint, "partial": joint, **fedbn}


def notes(bounds: Bounds, split: Mapping[str, Any], least: int) -> str:
    """The rules of the table, and how wide its intervals are: the least difference that these films can show."""
    widths: dict[str, list[float]] = {}
    for of_model in bounds.values():
        for column, (low, high) in of_model.items():
            widths.setdefault(column, []).append(high - low)
    films, patients = len(split["test"]), len({row["patient"] for row in split["test"]})
    wide = "; ".join(f"{column}: {min(each):.2f} to {max(each):.2f}" for column, each in widths.items())
    return (
        f"Findings that {least} test films or more of {FEW} patients or more show have a figure. The score of {ANY} is "
        "one minus the product of one minus the findings' probabilities. ± is the standard deviation over the seeds. "
        "95 % is from the lowest to the highest bound of the seeds' intervals, for which the "
        f"{patients} patients of the {films} test films are drawn anew. These are so wide: {wide}."
    )


def table_of_findings(rows: pd.DataFrame, frequent: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> str:
    """Markdown: how many films have each finding, and its AUROC by the models of all sites where enough have it."""
    ways = [way for way in dict.fromkeys(rows["way"]) if way not in OWN]
    head = ["finding", "training films", "test films", "of patients", *ways]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for name in FINDINGS:
        values = [aurocs(rows, way, name) if name in frequent else [] for way in ways]
        lines.append(
            f"| {name} | " + " | ".join([*map(str, counts[name].values()), *map(mean_and_spread, values)]) + " |"
        )
    return "\n".join(lines)


def aurocs(rows: pd.DataFrame, way: str, target: str) -> list[float]:
    """The AUROC of one finding, a number a seed."""
    own = rows[(rows["way"] == way) & (rows["target"] == target)]
    return [float(AUROC.reduce(rows_of(of_seed))) for _, of_seed in own.groupby("seed")]


def curves_of(runs: Runs, rounds: tuple[int, int]) -> dict[str, list[dict[int, float]]]:
    """The validation curves of each way, a seed each; that of ``partial`` begins after the encoder's rounds."""
    found: dict[str, list[dict[int, float]]] = {}
    for (way, _), run in runs.items():
        past = rounds[0] if way == "partial" else 0
        found.setdefault(way, []).append({past + number: value for number, value in validation_curve(run).items()})
    return found


def write(
    out: Path, document: Mapping[str, Any], curves: Mapping[str, Sequence[Mapping[int, float]]], text: str
) -> None:
    """The study's files; :func:`write_study` names them."""
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    *strokes, lines = figure.subplots(1, 3)
    numbers = document["by_seed"]
    colors = {model: color for way, color in COLORS.items() for model in numbers if model.split()[0] == way}
    for axes, column in zip(strokes, next(iter(numbers.values())), strict=False):
        draw_scores(axes, column, numbers, document["bounds"], document["models"], colors)
        axes.axvline(0.5, color="0.7", linestyle=":")
        axes.set_xlabel(f"{column}, test films,\nmean over seeds, 95 % interval")
    strokes[1].tick_params(labelleft=False)
    draw_curves(lines, curves, COLORS, "mean AUROC of all findings, validation films\n(mean of the sites')")
    write_study(out, {**document, "validation_auroc": curves}, text, figure)


if __name__ == "__main__":
    sys.exit(run_script(main, stopped="runs that are finished stay; the same command goes on"))
