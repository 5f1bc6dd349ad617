"""Curves of several runs over the rounds, from their TensorBoard events; needs no screen.

python result_stat/plot_tensorboard_events.py                      every run in artifacts/ -> artifacts/curves.png
python result_stat/plot_tensorboard_events.py artifacts/run-001 artifacts/run-002 --tag val_dice --tag train_loss
python result_stat/plot_tensorboard_events.py --sites --tag all    a panel a site and tag
python result_stat/plot_tensorboard_events.py --out curves.csv     every point as a table

Runs that differ in their seed alone are one line with a band. A workspace of FLARE's, and a folder of nothing but
<site>/events..., is a run too.
"""

import argparse
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import pandas as pd

from fedmed.analysis.curves.run_curves import over_sites, read_run, scored_shares
from fedmed.analysis.curves.run_groups import Group, group_runs
from fedmed.analysis.curves.runs_picture import Look, draw
from fedmed.analysis.curves.tensorboard_events import COLUMNS, cut_short, site_folders, smooth
from fedmed.core.cli import Parser, absolute_path
from fedmed.core.errors import InputError, counted, in_words
from fedmed.core.files import write_whole
from fedmed.runs.run_folder import ARTIFACTS, RunFolder

ENDINGS = (".png", ".svg", ".csv")


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, draw and save; 0 when done, 2 when something given cannot be used."""
    try:
        args = parser().parse_args(arguments)
        out = writable(args.out or args.artifacts / "curves.png", args.force)
        runs = labelled(args.runs or runs_with_events(args.artifacts))
        table, tags = chosen(read_runs(runs), args.tag)
        content = long_table(table, args.smooth) if out.suffix == ".csv" else picture(table, tags, runs, args, out)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, content)
    except (InputError, OSError) as error:
        print(f"error: {in_words(error)}", file=sys.stderr)
        return 2
    print(f"{out}: {', '.join(tags)} of {counted(table['run'].nunique(), 'run')}, smoothed with {args.smooth:g}")
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
    parser.add_argument(
        "--tag", action="append", help="a scalar to draw, or all; may be given several times (default: val_dice)"
    )
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


def runs_with_events(artifacts: Path) -> list[Path]:
    """Every run that has events, by name.

    Raises:
        InputError: there is none.
    """
    runs = sorted(path.parent for path in artifacts.glob("*/tb_events") if site_folders(path.parent))
    if not runs:
        raise InputError(f"{artifacts} holds no run with tb_events; make one with python job.py, or name run folders.")
    return runs


def labelled(paths: Sequence[Path]) -> dict[str, Path]:
    """Each folder, once, by its label.

    Raises:
        InputError: a folder holds no events.
    """
    for path in paths:
        if not site_folders(path):
            raise InputError(
                f"{path} holds no TensorBoard events of a site; expected a run folder such as artifacts/run-001, or "
                "one of FLARE's workspaces, with <site>/events... in it."
            )
    once = list(dict.fromkeys(path.resolve() for path in paths))
    return dict(zip(RunFolder.labels(once), once, strict=True))


def read_runs(runs: Mapping[str, Path]) -> pd.DataFrame:
    """Every scalar of every run, with a warning for each file that cannot be read to its end."""
    for path in runs.values():
        for sentence in cut_short(path):
            warn(sentence)
    return pd.concat([read_run(path, label) for label, path in runs.items()], ignore_index=True)


def chosen(table: pd.DataFrame, wanted: Sequence[str] | None) -> tuple[pd.DataFrame, list[str]]:
    """The points of the wanted tags, and these tags, with a warning for each run that lacks one.

    Raises:
        InputError: no run has the tag.
    """
    known, runs = sorted(table["tag"].unique()), list(table["run"].unique())
    tags = list(dict.fromkeys(known if "all" in (wanted or ()) else wanted or ["val_dice"]))
    for tag in tags:
        if tag not in known:
            has = ", ".join(known) or "nothing that can be read"
            raise InputError(f"--tag is {tag}, which no run has; choose of what they have: {has}.")
        with_it = set(table[table["tag"] == tag]["run"])
        for run in runs:
            if run not in with_it:
                warn(f"{run} has no {tag}, so it is missing there.")
    return table[table["tag"].isin(tags)], tags


def long_table(table: pd.DataFrame, weight: float) -> bytes:
    """Every point as CSV: run, site, tag, step, value and smoothed, each site's curve smoothed by itself."""
    values = table.groupby(["run", "site", "tag"], sort=False)["value"]
    smoothed = values.transform(lambda curve: smooth(curve, weight))
    return table[COLUMNS].assign(smoothed=smoothed).to_csv(index=False).encode()


def picture(
    table: pd.DataFrame, tags: Sequence[str], runs: Mapping[str, Path], args: argparse.Namespace, out: Path
) -> bytes:
    """The figure in the form of its file's ending."""
    drawn = {label: path for label, path in runs.items() if label in set(table["run"])}
    groups = group_runs(drawn)
    warn_of_uneven(table, groups)
    shares = [label for label, path in drawn.items() if args.sites and scored_shares(path)]
    note = f"The sites of {', '.join(shares)} scored different cases: each its share of the list." if shares else ""
    file = io.BytesIO()
    draw(table, tags, groups, Look(args.smooth, args.sites), note).savefig(file, format=out.suffix[1:], dpi=130)
    return file.getvalue()


def warn_of_uneven(table: pd.DataFrame, groups: Sequence[Group]) -> None:
    """Say which of the runs of one line end early, because the line ends with the shortest."""
    for group in groups:
        for tag, points in table[table["run"].isin(group.runs)].groupby("tag"):
            ends = {str(run): over_sites(rows).index.max() for run, rows in points.groupby("run")}
            if len(set(ends.values())) > 1:
                shown = ", ".join(f"{run} at {end:g}" for run, end in ends.items())
                warn(f"{tag} of {group.label} ends at different steps ({shown}); the line ends with the shortest run.")


def warn(sentence: str) -> None:
    print(f"warning: {sentence}", file=sys.stderr)


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
