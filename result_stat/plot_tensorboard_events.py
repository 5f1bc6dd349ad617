"""Curves of several runs over the rounds, from their TensorBoard events; needs no screen.

python result_stat/plot_tensorboard_events.py                      every run in artifacts/ -> artifacts/curves.png
python result_stat/plot_tensorboard_events.py artifacts/run-001 artifacts/run-002 --tag val_dice --tag train_loss
python result_stat/plot_tensorboard_events.py --sites --tag all    a panel a site and tag
python result_stat/plot_tensorboard_events.py --out curves.csv     every point as a table

Runs that differ in their seed alone are one line with a band. A workspace of FLARE's, and a folder of nothing but
<site>/events..., is a run too.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.core.errors import InputError, counted
from fedmed.core.files import write_whole
from fedmed.core.names import ARTIFACTS
from fedmed.core.progress import importing

with importing(__name__):
    from fedmed.analysis.curves.plotted_runs import (
        chosen,
        key_metric,
        labelled,
        long_table,
        picture,
        read_runs,
        runs_with_events,
    )
    from fedmed.analysis.curves.runs_picture import CurveStyle

ENDINGS = (".png", ".svg", ".csv")


def main(arguments: Sequence[str]) -> None:
    """Read, draw and save."""
    args = parser().parse_args(arguments)
    out = writable(args.out or args.artifacts / "curves.png", args.force)
    runs = labelled(args.runs or runs_with_events(args.artifacts))
    table, tags = chosen(read_runs(runs), args.tag or [key_metric(list(runs.values()))])
    style, form = CurveStyle(args.smooth, args.sites), out.suffix[1:]
    content = long_table(table, args.smooth) if form == "csv" else picture(table, tags, runs, style, form)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, content)
    echo(f"{out}: {', '.join(tags)} of {counted(table['run'].nunique(), 'run')}, smoothed with {args.smooth:g}")


def parser() -> Parser:
    """The command line."""
    parser = Parser(description="Curves of several runs from their TensorBoard events.")
    parser.add_argument(
        "runs", nargs="*", type=absolute_path, help="run folders (default: all in --artifacts with events)"
    )
    parser.add_argument(
        "--artifacts", type=absolute_path, default=HERE.parent / ARTIFACTS, help="where runs are looked for"
    )
    parser.add_argument(
        "--tag", action="append",
        help="a scalar to draw, or all; may be given several times (default: the task's key metric, such as val_dice)",
    )  # fmt: skip
    parser.add_argument("--smooth", type=_weight, default=0.8, help="weight from 0 to below 1 (default: %(default)s)")
    parser.add_argument("--sites", action="store_true", help="a panel a site instead of the mean over sites")
    parser.add_argument("--out", type=absolute_path, help=".png, .svg or .csv (default: curves.png in --artifacts)")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    return parser


def writable(out: Path, force: bool) -> Path:
    """``out``, if it may be written.

    Raises:
        InputError: its ending is of no known form, or it is there and not to be replaced.
    """
    if out.suffix not in ENDINGS:
        raise InputError(f"--out is {out}; expected a name that ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.")
    if out.is_dir():
        raise InputError(f"{out} is a folder; give --out the name of a file.")
    if out.exists() and not force:
        raise InputError(f"{out} is there already; choose another --out, or use --force to replace it.")
    return out


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < 1:
        raise argparse.ArgumentTypeError(f"{text}; expected a number from 0 to below 1")
    return weight


if __name__ == "__main__":
    sys.exit(run_script(main))
