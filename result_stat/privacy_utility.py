"""What privacy costs: the final model's Dice against epsilon, of privacy mechanisms and budgets on small phantoms.

python result_stat/privacy_utility.py                              every row of the grid below, with 3 seeds
python result_stat/privacy_utility.py --rows none svt --seeds 1    some rows of it
python result_stat/privacy_utility.py --grid my_grid.json          other rows: {"name": "options of job.py", ...}
python result_stat/privacy_utility.py --runs artifacts/run-0*      finished runs, whoever made them

Run folders stay in --artifacts. A study that was stopped goes on where it was: a row and seed that has a finished run
of the same settings there is not run again, unless --force says so (as it must when the code has changed).
"""

import argparse
import contextlib
import json
import math
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from fedmed.analysis.comparison.configuration import own_options, shown, training_options, varying
from fedmed.analysis.comparison.privacy_spent import spent
from fedmed.analysis.evaluation.case_scoring import caching_after, score
from fedmed.analysis.evaluation.evaluation_cases import validation_cases
from fedmed.analysis.evaluation.trained_model import open_model
from fedmed.command_line import read_experiment
from fedmed.core import machine
from fedmed.core.cli import Parser, absolute_path
from fedmed.core.errors import InputError, RunFailed, counted, in_words
from fedmed.core.names import ARTIFACTS
from fedmed.core.options import expect_at_least, to_plain
from fedmed.core.site_scores import mean_of_values
from fedmed.data.audit.case_facts import FactsBook
from fedmed.data.phantoms.phantom import is_phantom, make_phantom
from fedmed.experiment import Experiment
from fedmed.privacy.svt import MEANINGFUL
from fedmed.runs.run_folder import RunFolder

GRID: Mapping[str, str] = {
    "none": "--privacy none",
    "svt": "--privacy svt",
    "svt-21": "--privacy svt --dp_epsilon 21 --dp_noise_var 2",
    **{
        f"gaussian-{epsilon}": f"--privacy gaussian --dp_clip 1.0 --dp_target_epsilon {epsilon} --dp_delta 1e-5"
        for epsilon in (10, 10_000, 10_000_000)
    },
    **{
        f"dpsgd-{epsilon}": "--privacy dpsgd --dp_max_grad_norm 1.0 "
        f"--dp_target_epsilon {epsilon} --dp_delta 1e-3 --batch_size 4"
        for epsilon in (8, 1_000, 1_000_000)
    },
    "percentile": "--privacy percentile",
}
"""The options of job.py by row. A row's name becomes part of the names of its run folders."""

COMMON = ("--cache_dataset", 1, "--crop_to_brain")

OWN = ("--seed", "--job_name", "--artifacts", "--dataset_base_dir", "--datalist_json_path", "--n_clients")
"""Options of job.py that the study gives itself, so that no row may."""

RULES = {"dice": "published rule", "challenge_dice": "challenge rule"}
"""The metrics by which a model is scored; the first one is the main figure's."""

SAME = ["mechanism", "unit", "guarantee", "options"]
"""Runs that are alike in these columns differ in their seeds alone."""

MARKERS = {"patient": "o", "site's update": "s"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run or read the runs, print the table, draw; 0 when done, 1 when a run failed, 2 for a mistake in the input."""
    for ending in (signal.SIGTERM, signal.SIGHUP):  # from outside, or by a closed terminal: end the run too
        signal.signal(ending, signal.default_int_handler)
    try:
        args = read_arguments(arguments)
        args.out.parent.mkdir(parents=True, exist_ok=True)  # before, not after, the hours of a study
        report(study(args) if args.runs is None else [RunFolder.open(path) for path in args.runs], args)
    except (InputError, OSError) as error:
        return _ended("error", in_words(error), 2)
    except RunFailed as error:
        return _ended("failed", str(error), 1)
    except KeyboardInterrupt:
        return _ended("stopped", "the finished runs are kept; start again to go on", 130)
    return 0


def _ended(how: str, why: str, code: int) -> int:
    print(f"{how}: {' '.join(why.split())}", file=sys.stderr)
    return code


# ---- the command line


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line.

    Raises:
        InputError: it cannot be used, or says how to make runs while it names finished ones.
    """
    args = parser().parse_args(arguments)
    expect_at_least("seeds", args.seeds, 1)
    given = [name for name in MAKING if getattr(args, name) != parser().get_default(name)]
    if args.runs is not None and given:
        raise InputError(f"--{given[0]} says how to make runs, but --runs names finished ones; drop one of them.")
    return args


MAKING = (
    *("seeds", "rounds", "grid", "rows", "artifacts", "force", "sites", "cases", "validation", "epochs"),
    *("learning_rate", "size", "roi_size", "infer_roi_size"),
)
"""Options that mean something only where runs are made."""


def parser() -> Parser:
    """The options; sizes and rounds are chosen so that a run takes about a minute on two cores."""
    parser = Parser(description=__doc__.partition("\n")[0])
    for name, default, what in (
        ("seeds", 3, "repetitions with seeds 0, 1, 2, ..."),
        ("rounds", 10, "federated rounds"),
        ("epochs", 1, "local epochs a round"),
        ("sites", 2, "sites"),
        ("cases", 24, "training cases at each site"),
        ("validation", 9, "validation cases that all sites list; every ninth has no enhancing part"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default: %(default)s)")
    for name, size in (("size", [48, 48, 40]), ("roi_size", [32, 32, 32]), ("infer_roi_size", [48, 48, 40])):
        parser.add_argument(f"--{name}", type=int, nargs=3, default=size, help="voxels (default: %(default)s)")
    parser.add_argument("--learning_rate", type=float, default=1.5e-3, help="Adam's (default: %(default)s)")
    parser.add_argument("--grid", type=absolute_path, help="JSON file of rows: name and options of job.py")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="only these rows of the grid")
    parser.add_argument("--force", action="store_true", help="run again what has been run")
    parser.add_argument("--runs", type=absolute_path, nargs="+", metavar="RUN", help="finished runs to read instead")
    place = HERE.parent / ARTIFACTS / "privacy_utility"
    parser.add_argument("--artifacts", type=absolute_path, default=place, help="where runs and phantoms are kept")
    out = HERE.parent / "figs" / "privacy_utility"
    parser.add_argument("--out", type=absolute_path, default=out, help="write OUT.png and OUT.json")
    return parser


# ---- making the runs


@dataclass(frozen=True)
class Planned:
    """One run of the study: what job.py is given, but for where run folders are made, and what that means."""

    row: str
    arguments: tuple[str, ...]
    experiment: Experiment


def study(args: argparse.Namespace) -> list[RunFolder]:
    """The finished run of every row and seed, of which those that are missing are made.

    Raises:
        InputError: the grid or an option cannot be used; nothing was started.
        RunFailed: a run failed; those before it are kept.
    """
    phantoms = args.artifacts / phantoms_name(args)
    planned = plan(chosen(args.grid, args.rows), phantoms, args)
    if not is_phantom(phantoms):
        sizes = {"sites": args.sites, "cases": args.cases, "validation": args.validation, "size": tuple(args.size)}
        make_phantom(phantoms, phantoms / "datalist", **sizes)
        print(f"made phantoms in {phantoms}", file=sys.stderr)
    return [made(each, args.artifacts, args.force) for each in planned]


def phantoms_name(args: argparse.Namespace) -> str:
    """Names the phantoms by how they are made, so that other ones get another folder."""
    size = "x".join(map(str, args.size))
    return f"phantoms-{args.sites}x{args.cases}+{args.validation}-{size}"


def chosen(path: Path | None, rows: Sequence[str] | None) -> dict[str, str]:
    """The grid, of a file or the built-in one, or those rows of it that are asked for.

    Raises:
        InputError: the file is no grid, or a row is not in it.
    """
    grid = GRID if path is None else read_grid(path)
    unknown = [row for row in rows or () if row not in grid]
    if unknown:
        raise InputError(f"--rows names {unknown[0]}, which is no row of the grid; choose among {', '.join(grid)}.")
    return {name: options for name, options in grid.items() if name in (rows or grid)}


def read_grid(path: Path) -> dict[str, str]:
    """A file such as ``{"none": "--privacy none", "svt-1": "--privacy svt --dp_epsilon 1"}``.

    Raises:
        InputError: it is no such file.
    """
    try:
        grid = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--grid {path} cannot be read as JSON ({error}); give a JSON file of rows.") from error
    if not isinstance(grid, dict) or not grid or not all(isinstance(options, str) for options in grid.values()):
        raise InputError(f'--grid {path} holds no rows; expected {{"name": "options of job.py", ...}}.')
    return grid


def plan(grid: Mapping[str, str], phantoms: Path, args: argparse.Namespace) -> list[Planned]:
    """All rows with one seed before the next seed, so that a study that is stopped has compared all rows."""
    return [planned(row, grid[row], seed, phantoms, args) for seed in range(args.seeds) for row in grid]


def planned(row: str, options: str, seed: int, phantoms: Path, args: argparse.Namespace) -> Planned:
    """One run; the row's options come before those of the study.

    Raises:
        InputError: the row's options cannot be used.
    """
    common = [
        *("--num_rounds", args.rounds, "--aggregation_epochs", args.epochs, "--learning_rate", args.learning_rate),
        *("--roi_size", *args.roi_size, "--infer_roi_size", *args.infer_roi_size, *COMMON),
        *("--validate_every", args.rounds),  # the models are scored here, all alike
    ]
    own = [*("--n_clients", args.sites, "--seed", seed, "--job_name", f"{row}-seed{seed}")]
    own += [*("--dataset_base_dir", phantoms, "--datalist_json_path", phantoms / "datalist")]
    try:
        arguments = tuple(map(str, [*common, *_words(options), *own]))
        return Planned(row, arguments, read_experiment(arguments))
    except ValueError as error:  # of which an InputError is one, and shlex has its own
        raise InputError(f"Row {row!r} of the grid cannot be run: {error}") from error


def _words(options: str) -> list[str]:
    words = shlex.split(options)
    taken = [word for word in words if word.partition("=")[0] in OWN]
    if taken:
        raise InputError(f"it gives {taken[0]}, which the study itself gives; drop it there.")
    return words


def made(each: Planned, artifacts: Path, force: bool) -> RunFolder:
    """The finished run of what is planned; it is made where it is not there yet."""
    run = None if force else finished(artifacts, each.experiment)
    if run is not None:
        print(f"{run.name} is there already", file=sys.stderr)
        return run
    began = time.monotonic()
    launch(each, artifacts)
    run = finished(artifacts, each.experiment)
    if run is None:
        raise RunFailed(f"job.py left no finished run {each.experiment.job_name} in {artifacts}.")
    print(f"{run.name} took {time.monotonic() - began:.0f} s", file=sys.stderr)
    return run


def finished(artifacts: Path, experiment: Experiment) -> RunFolder | None:
    """The last finished run of an experiment, whatever the options are that change its speed alone."""
    for path in sorted(artifacts.glob(f"{experiment.job_name}-*/experiment.json"), reverse=True):
        run = RunFolder(path.parent)
        with contextlib.suppress(InputError):  # a run of another version is another run
            if run.read_json("status")["status"] == "finished" and same(run.experiment(), experiment):
                return run
    return None


def same(one: Experiment, other: Experiment) -> bool:
    """Whether two runs must end with the same weights on one machine."""
    parts = ("task", "algorithm", "privacy", "training")
    on_same_data = one.data.dataset_base_dir == other.data.dataset_base_dir
    return on_same_data and all(getattr(one, part) == getattr(other, part) for part in parts)


def launch(each: Planned, artifacts: Path) -> None:
    """Run job.py to its end, its output in a file beside the run folders.

    Raises:
        InputError, RunFailed: it ended with exit code 2, or another one.
    """
    output = artifacts / f"{each.experiment.job_name}.log"
    command = [sys.executable, str(HERE.parent / "job.py"), *each.arguments, "--artifacts", str(artifacts)]
    with output.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C ends it once, by the line below, and it can clean up
        )  # fmt: skip
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if code:
        words = output.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["without a word"]
        text = f"{each.experiment.job_name} ended with exit code {code} ({words[-1]}); its output is in {output}."
        raise InputError(text) if code == 2 else RunFailed(text)


# ---- reading the runs


def read_runs(runs: Sequence[RunFolder]) -> pd.DataFrame:
    """A row a run, with what it spent and its final model's scores.

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
    table.insert(2, "options", told(experiments))
    table.insert(3, "seed", [experiment.training.seed for experiment in experiments])
    twice = table[table.duplicated([*SAME, "seed"], keep=False)]["run"].tolist()
    if twice:
        raise InputError(f"{twice[0]} and {twice[1]} are the same experiment with the same seed; give one of them.")
    return table


def refuse_other(run: RunFolder, first: RunFolder) -> None:
    """Refuse a run whose Dice says nothing beside the first one's.

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


def told(experiments: Sequence[Experiment]) -> list[str]:
    """In words, each one's privacy options and whatever else the experiments differ in, other than the seed."""
    others = [_others(experiment) for experiment in experiments]
    differing = varying(others)
    texts = []
    for experiment, other in zip(experiments, others, strict=True):
        values = own_options(experiment.privacy) | {name: other[name] for name in differing if name in other}
        texts.append(", ".join(f"{name} {shown(value)}" for name, value in values.items() if value is not None))
    return texts


def _others(experiment: Experiment) -> dict[str, Any]:
    options = {**to_plain(experiment.algorithm), **training_options(experiment)}
    return {"algorithm": experiment.algorithm.name, **{name: options[name] for name in options if name != "seed"}}


def scores(run: RunFolder) -> dict[str, float | None]:
    """The final model's mean over all validation cases and regions, by each rule.

    It is the last model, not the best: under a formal guarantee no scores leave the sites, so none is chosen.
    """
    experiment = run.experiment()
    held = caching_after(experiment, run.name)
    listed = validation_cases(experiment, FactsBook(held.disk))
    rows = score(open_model(run.path, "last"), listed.cases, listed.label_scheme, held)
    return {rule: mean_of_values(row.value for row in rows if row.quantity == rule) for rule in RULES}


def about(runs: Sequence[RunFolder]) -> str:
    """On what the numbers were made, in one line."""
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


def _either(values: Sequence[int]) -> str:
    return " or ".join(map(str, values))


# ---- the result


def report(runs: Sequence[RunFolder], args: argparse.Namespace) -> None:
    """Print the table; write the numbers and the figure."""
    table, line, here = read_runs(runs), about(runs), machine.describe()
    rows = pooled(table)
    print(f"{line}\n\n{markdown(rows)}")
    document = {"what": line, "settings": settings(args), "machine": here, "rows": plain(rows), "runs": plain(table)}
    args.out.with_suffix(".json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    caption = f"{line}; bars and bands reach from the least to the largest\n{machine.one_line(here)}"
    draw(rows, caption, args.out.with_suffix(".png"))


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """What the study was asked for, without where it lies; nothing where finished runs were named."""
    if args.runs is not None:
        return {}
    asked = {name: getattr(args, name) for name in MAKING if name not in ("artifacts", "force", "rows")}
    return {**asked, "grid": chosen(args.grid, args.rows), "common": " ".join(map(str, COMMON))}


def plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as JSON values, null where there is no number."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    return rows


def pooled(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for the runs that differ in their seeds alone: the mean, least and largest score, the largest epsilon."""
    found = {"seeds": ("seed", "nunique"), "epsilon": ("epsilon", "max"), "delta": ("delta", "max")}
    for rule in RULES:
        found |= {f"{rule}{end}": (rule, how) for end, how in (("", "mean"), ("_min", "min"), ("_max", "max"))}
    numbers = runs.astype(dict.fromkeys(("epsilon", "delta", *RULES), float))  # None becomes NaN
    return numbers.groupby(SAME, sort=False).agg(**found).reset_index()


def markdown(rows: pd.DataFrame) -> str:
    """A line a row."""
    lines = [
        "| mechanism | unit | guarantee | options | epsilon | delta | Dice | challenge Dice | seeds |",
        "|---|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows.to_dict("records"):
        lines.append(
            f"| {row['mechanism']} | {row['unit']} | {row['guarantee']} | {row['options'] or '-'} | "
            f"{_number(row['epsilon'])} | {_number(row['delta'])} | {_spread(row, 'dice')} | "
            f"{_spread(row, 'challenge_dice')} | {row['seeds']} |"
        )
    return "\n".join(lines)


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _spread(row: Mapping[Any, Any], rule: str) -> str:
    span = f" ({row[f'{rule}_min']:.3f} to {row[f'{rule}_max']:.3f})" if row["seeds"] > 1 else ""
    return f"{row[rule]:.3f}{span}"


# ---- the figure


def placed(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows that are points on the logarithmic axis, and those that are bands across it as they have no epsilon."""
    on_axis = (rows["epsilon"] > 0) & (rows["epsilon"] < math.inf)
    return rows[on_axis].sort_values("epsilon"), rows[~on_axis]


def limits(epsilons: Sequence[float]) -> tuple[float, float]:
    """Ends of the axis: whole decades around all points and around the border of what is meaningful."""
    spots = [MEANINGFUL, *epsilons]
    low, high = math.floor(math.log10(min(spots) / 2)), math.ceil(math.log10(max(spots) * 2))
    return 10.0**low, 10.0**high


def draw(rows: pd.DataFrame, caption: str, path: Path) -> None:
    """Dice against epsilon, a panel a rule; ``caption`` says on what."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    colours = {name: "0.35" if name == "none" else f"C{i}" for i, name in enumerate(rows["mechanism"].unique())}
    for axes, (rule, words) in zip(panels, RULES.items(), strict=True):
        _panel(axes, rows, rule, colours)
        axes.set_ylabel(f"mean Dice, {words}")
    low, high = limits(placed(rows)[0]["epsilon"].tolist())
    panels[0].set_xlim(low, high)
    panels[0].xaxis.set_major_locator(LogLocator(numticks=99))  # every decade
    above = panels[0].get_xaxis_transform()
    border = f"epsilon {MEANINGFUL:g}, the border of what is meaningful"
    panels[0].text(MEANINGFUL, 1.01, border, transform=above, va="bottom", fontsize=9)
    panels[1].set_xlabel("epsilon of the site that spent most, over all rounds")
    figure.legend(handles=_legend(rows, colours), loc="outside upper center", ncols=3, fontsize=9, frameon=False)
    figure.supxlabel(caption, fontsize=8, color="0.35")
    figure.savefig(path, dpi=130)


def _panel(axes: Axes, rows: pd.DataFrame, rule: str, colours: Mapping[str, str]) -> None:
    points, bands = placed(rows)
    axes.set_xscale("log")
    axes.axvline(MEANINGFUL, color="0.2", linewidth=1, linestyle=":")
    for row in bands.to_dict("records"):
        colour = colours[row["mechanism"]]
        axes.axhspan(row[f"{rule}_min"], row[f"{rule}_max"], color=colour, alpha=0.15, linewidth=0)
        axes.axhline(row[rule], **_line(row, colour))
    for row in points.to_dict("records"):
        reach = [[row[rule] - row[f"{rule}_min"]], [row[f"{rule}_max"] - row[rule]]]
        axes.errorbar(row["epsilon"], row[rule], yerr=reach, capsize=3, **_marker(row, colours[row["mechanism"]]))
    for (mechanism, guarantee), line in points.groupby(["mechanism", "guarantee"]):
        if guarantee == "formal":  # one budget after another; the others' options differ in more than the budget
            axes.plot(line["epsilon"], line[rule], color=colours[str(mechanism)], linewidth=1, alpha=0.5)
    axes.set_ylim(-0.04, 1)  # so that markers at 0 are whole
    axes.grid(alpha=0.25)


def _marker(row: Mapping[Any, Any], colour: str) -> dict[str, Any]:
    """The shape says whose presence is hidden; a marker is filled where a theorem says so."""
    filled = colour if row["guarantee"] == "formal" else "white"
    return {
        **{"marker": MARKERS.get(row["unit"], "D"), "markersize": 8, "linestyle": "none"},
        **{"color": colour, "markerfacecolor": filled, "markeredgewidth": 1.5, "zorder": 3},
    }


def _line(row: Mapping[Any, Any], colour: str) -> dict[str, Any]:
    return {"color": colour, "linewidth": 1.3, "linestyle": "-" if row["guarantee"] == "none" else "--"}


def _legend(rows: pd.DataFrame, colours: Mapping[str, str]) -> list[Line2D]:
    """An entry a mechanism, with its own marker or line."""
    handles: dict[str, Line2D] = {}
    for part, style, end in zip(placed(rows), (_marker, _line), ("", ", no epsilon"), strict=True):
        for row in part.to_dict("records"):
            what = "no protection" if row["guarantee"] == "none" else f"{row['guarantee']}, unit: {row['unit']}{end}"
            label = f"{row['mechanism']}: {what}"
            handles[label] = Line2D([], [], label=label, **style(row, colours[row["mechanism"]]))
    return list(handles.values())


if __name__ == "__main__":
    sys.exit(main())
