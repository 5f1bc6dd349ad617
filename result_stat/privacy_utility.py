"""The cost of privacy: the final model's score against epsilon, of privacy mechanisms and budgets on small phantoms.

python result_stat/privacy_utility.py                              every row of the built-in grid, with 3 seeds
python result_stat/privacy_utility.py --rows none svt --seeds 1    some rows of it
python result_stat/privacy_utility.py --grid my_grid.json          other rows: {"name": "options of job.py", ...}
python result_stat/privacy_utility.py --runs artifacts/run-0*      finished runs, whoever made them

Run folders stay in --artifacts. A study that was stopped goes on where it was: a row and seed that has a finished run
of the same settings there is not run again, unless --force says so (as it must when the code has changed).
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.core.errors import InputError
from fedmed.core.files import write_whole
from fedmed.core.names import ARTIFACTS
from fedmed.core.options import add_options, option_names, to_plain
from fedmed.core.progress import importing

with importing(__name__):
    from fedmed.analysis.evaluation.evaluation_text import headline
    from fedmed.analysis.privacy_utility.utility_grid import chosen
    from fedmed.analysis.privacy_utility.utility_picture import draw
    from fedmed.analysis.privacy_utility.utility_plan import COMMON, StudyOptions, plan
    from fedmed.analysis.privacy_utility.utility_table import as_json, data_in_words, markdown, pooled, read_runs
    from fedmed.command_line import read_experiment
    from fedmed.core import machine
    from fedmed.runs.run_folder import RunFolder
    from fedmed.runs.study_runs import made

JOB, ROOT = HERE.parent / "job.py", HERE.parent

MAKING = (*sorted(option_names(StudyOptions)), "grid", "rows", "artifacts", "force")
"""Options that mean something only where runs are made."""


def main(arguments: Sequence[str]) -> None:
    """Make or read the runs, print the table, draw."""
    args = read_arguments(arguments)
    args.out.parent.mkdir(parents=True, exist_ok=True)  # before, not after, the hours of a study
    if args.runs is not None:
        report([RunFolder.open(path) for path in args.runs], {}, args.out)
        return
    options, grid = options_of(args), chosen(args.grid, args.rows)
    artifacts = args.artifacts or ROOT / ARTIFACTS / "privacy_utility"
    phantoms = artifacts / options.phantoms_name
    planned = plan(grid, phantoms, options, read_experiment)
    if options.make_phantoms(phantoms):
        echo(f"made phantoms in {phantoms}", sys.stderr)
    runs = [made(each.experiment, each.arguments, JOB, artifacts, force=bool(args.force)) for each in planned]
    report(runs, {**to_plain(options), "grid": grid, "common": " ".join(COMMON)}, args.out)


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; an option that is not given is None.

    Raises:
        InputError: it cannot be used, or says how to make runs while it names finished ones.
    """
    args = parser().parse_args(arguments)
    given = [name for name in MAKING if getattr(args, name) is not None]
    if args.runs is not None and given:
        raise InputError(f"--{given[0]} says how to make runs, but --runs names finished ones; drop one of them.")
    return args


def options_of(args: argparse.Namespace) -> StudyOptions:
    """The size of the study."""
    given = {name: getattr(args, name) for name in option_names(StudyOptions)}
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if value is not None
    }
    return StudyOptions(**known)


def parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__.partition("\n")[0])
    add_options(parser.add_argument_group("the size of the study"), StudyOptions, set())
    parser.add_argument("--grid", type=absolute_path, help="JSON file of rows: name and options of job.py")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="only these rows of the grid")
    parser.add_argument("--force", action="store_true", default=None, help="run again what has been run")
    parser.add_argument("--runs", type=absolute_path, nargs="+", metavar="RUN", help="finished runs to read instead")
    parser.add_argument(
        "--artifacts", type=absolute_path, help="folder of runs and phantoms (default: artifacts/privacy_utility)"
    )
    out = ROOT / "figs" / "privacy_utility"
    parser.add_argument("--out", type=absolute_path, default=out, help="write OUT.png and OUT.json")
    return parser


def report(runs: Sequence[RunFolder], settings: dict[str, Any], out: Path) -> None:
    """Print the table; write the numbers with the settings of the study, and the figure."""
    table, line, here = read_runs(runs), data_in_words(runs), machine.describe()
    metrics = headline(runs[0].experiment().task.METRICS)
    rows = pooled(table, metrics)
    echo(f"{line}\n\n{markdown(rows, metrics)}")
    document = {"what": line, "settings": settings, "machine": here, "rows": as_json(rows), "runs": as_json(table)}
    write_whole(out.with_suffix(".json"), f"{json.dumps(document, indent=2)}\n".encode())
    caption = f"{line}; bars and bands reach from the least to the largest\n{machine.one_line(here)}"
    draw(rows, metrics, caption, out.with_suffix(".png"))


if __name__ == "__main__":
    sys.exit(run_script(main, stopped="the finished runs stay; start again to go on"))
