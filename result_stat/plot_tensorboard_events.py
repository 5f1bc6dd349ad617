"""Curves of several runs over the rounds, from their TensorBoard events; needs no screen.

python result_stat/plot_tensorboard_events.py       every run in artifacts/ -> artifacts/curves.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import pandas as pd
from matplotlib.figure import Figure

from fedmed.errors import InputError, in_words
from fedmed.events import read_scalars, smooth
from fedmed.options import Parser, absolute_path
from fedmed.run_folder import ARTIFACTS, RunFolder


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, draw and save; 0 when done, 2 when something given cannot be used."""
    try:
        args = parser().parse_args(arguments)
        table = read_runs(args.runs or runs_with_events(args.artifacts), args.tag)
        out = args.out or args.artifacts / "curves.png"
        draw(table, args.tag, args.smooth, out)
    except (InputError, OSError) as error:
        print(f"error: {in_words(error)}", file=sys.stderr)
        return 2
    print(f"{out}: {args.tag} of {table['run'].nunique()} runs, smoothed with {args.smooth:g}")
    return 0


def parser() -> Parser:
    """The command line."""
    parser = Parser(description="Curves of several runs from their TensorBoard events.")
    parser.add_argument(
        "runs", nargs="*", type=absolute_path, help="run folders (default: all in --artifacts with events)"
    )
    parser.add_argument(
        "--artifacts", type=absolute_path, default=HERE.parent / ARTIFACTS, help="where runs are looked for"
    )
    parser.add_argument("--tag", default="val_dice", help="the scalar to draw (default: %(default)s)")
    parser.add_argument("--smooth", type=_weight, default=0.8, help="weight from 0 to below 1 (default: %(default)s)")
    parser.add_argument("--out", type=absolute_path, help="picture, .png or .svg (default: curves.png in --artifacts)")
    return parser


def runs_with_events(artifacts: Path) -> list[Path]:
    """Every run that has events, by name.

    Raises:
        InputError: there is none.
    """
    runs = sorted(path.parent for path in artifacts.glob("*/tb_events"))
    if not runs:
        raise InputError(f"{artifacts} holds no run with tb_events; make one with python job.py, or name run folders.")
    return runs


def read_runs(runs: Sequence[Path], tag: str) -> pd.DataFrame:
    """The scalar ``tag`` of every run, with the columns run, site, step and value.

    Raises:
        InputError: a folder is no run, or no run has it.
    """
    strange = [run for run in runs if not (run / "tb_events").is_dir()]
    if strange:
        raise InputError(f"{strange[0]} holds no tb_events; expected a run folder such as artifacts/run-001.")
    labels = RunFolder.labels(runs)
    everything = pd.concat([read_scalars(run).assign(run=label) for run, label in zip(runs, labels, strict=True)])
    table = everything[everything["tag"] == tag]
    if table.empty:
        known = ", ".join(sorted(everything["tag"].unique())) or "none at all"
        raise InputError(f"--tag is {tag}, which none of {len(runs)} runs has; they have {known}.")
    return table


def draw(table: pd.DataFrame, tag: str, weight: float, out: Path) -> None:
    """A line a run: the mean over its sites, smoothed, above its unsmoothed self in a faint tone."""
    if out.suffix not in (".png", ".svg"):
        raise InputError(f"--out is {out}; expected a name that ends in .png or .svg.")
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for run, rows in table.groupby("run"):
        mean = rows.groupby("step")["value"].mean()
        (line,) = axes.plot(mean.index, smooth(mean, weight), label=str(run))
        axes.plot(mean.index, mean, color=line.get_color(), alpha=0.25, linewidth=1)
    axes.set_xlabel("optimiser steps of a site" if tag == "train_loss" else "federated rounds")
    axes.set_ylabel(f"{tag}, mean over sites, smoothed with {weight:g}")
    axes.grid(alpha=0.25)
    axes.legend()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=130)


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < 1:
        raise argparse.ArgumentTypeError(f"{text}; expected a number from 0 to below 1")
    return weight


if __name__ == "__main__":
    sys.exit(main())
