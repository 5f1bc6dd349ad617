"""A study: algorithms on partitions, with attacks and seeds, each a run of job.py in a pool, and one page of them all.

python result_stat/study.py STUDY.json --dry_run      check every run, and show which are there
python result_stat/study.py STUDY.json --workers 4    make those that are missing, four beside one another, and the page

docs/study.md says what STUDY.json states. Runs and logs stay in --artifacts: one that is finished is not made again,
one that was cut off goes on, and one that fails is told of at the end. OUT.md has the tables, OUT.json every number,
OUT.png the picture, and OUT.html all of it in one file.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.core.files import write_whole
from fedmed.core.names import ARTIFACTS
from fedmed.core.options import expect_between
from fedmed.core.progress import importing

with importing(__name__):
    from fedmed.analysis.comparison.table_document import markdown
    from fedmed.analysis.cross_validation.folds import expect_same_cases
    from fedmed.analysis.study.cell_queue import CellOutcomes, Place, Room, finished_cells, run_cells
    from fedmed.analysis.study.grid_progress import GridProgress, table_lines
    from fedmed.analysis.study.study_cells import Cell, check, grid, tries
    from fedmed.analysis.study.study_file import Study, read_study_file
    from fedmed.analysis.study.study_files import beside, write_study
    from fedmed.analysis.study.study_findings import StudyFindings, findings, scored_cells
    from fedmed.analysis.study.study_numbers import numbers
    from fedmed.analysis.study.study_page import page
    from fedmed.analysis.study.study_picture import picture
    from fedmed.analysis.study.study_report import blocks
    from fedmed.analysis.study.tuned_options import tuned
    from fedmed.command_line import read_experiment
    from fedmed.core.errors import counted

JOB = HERE.parent / "job.py"


def main(arguments: Sequence[str]) -> int:
    """Check, run, score, print and save; 1 where a run failed."""
    args = parser().parse_args(arguments)
    study, room = read_study_file(args.study), room_of(args)
    artifacts = args.artifacts or HERE.parent / ARTIFACTS / study.name
    out, place = args.out or artifacts / study.name, Place(JOB, artifacts, args.force)
    check(study, read_experiment)
    if args.dry_run:
        show_plan(study, place)
        return 0
    for folder in (artifacts, out.parent):  # before, not after, the hours of training
        folder.mkdir(parents=True, exist_ok=True)
    found = studied(study, place, room)
    write(found, out)
    for sentence in found.failures.values():
        echo(f"failed: {sentence}", sys.stderr)
    return 1 if found.failures else 0


def studied(study: Study, place: Place, room: Room) -> StudyFindings:
    """Make the runs of the tuning and of the grid that are missing, and score them.

    Raises:
        InputError: a run that is there was made on other lists than there are now.
        RunFailed: no try of an algorithm, or no run at all, ended well.
    """
    tried = tries(study, read_experiment)
    first = made([cell for of_algorithm in tried.values() for cell in of_algorithm], place, room)
    tuning = tuned(study, tried, first)
    cells = grid(study, {label: each.chosen for label, each in tuning.items()}, read_experiment)
    outcomes = made(cells, place, room)
    scores = scored_cells(cells, outcomes)
    return findings(study, scores, {**first.failures, **outcomes.failures}, tuning)


def room_of(args: argparse.Namespace) -> Room:
    """The runs beside one another that the command line allows.

    Raises:
        InputError: a number is out of range.
    """
    if args.workers is not None:
        expect_between("workers", args.workers, 1, 1000)
    if args.memory is not None:
        expect_between("memory", args.memory, 0.1, 100_000)
    return Room.of(args.workers, args.memory)


def made(cells: Sequence[Cell], place: Place, room: Room) -> CellOutcomes:
    """The outcomes of all cells, of which those that are missing are run.

    Raises:
        InputError: a run that is there was made on other lists than there are now.
    """
    runs = finished_cells(cells, place)
    for cell in cells:
        if cell.name in runs:
            expect_same_cases(runs[cell.name], cell.experiment)
    return run_cells(cells, place, room, GridProgress(cells))


def show_plan(study: Study, place: Place) -> None:
    """Print the runs, and which of them are there; of a study with tuning the grid's follow from its choices."""
    tuning = [cell for of_algorithm in tries(study, read_experiment).values() for cell in of_algorithm]
    some = tuning or grid(study, {}, read_experiment)
    runs = finished_cells(some, place)
    lines = table_lines(some, {cell.name: "done" if cell.name in runs else "waiting" for cell in some})
    what = "tries of the tuning" if tuning else "cells of the grid"
    echo("\n".join([f"{counted(len(some), 'run')}, {what}; {len(runs)} are there (#):", *lines]))
    if tuning:
        number = len(study.partitions) * len(study.algorithms) * len(study.attacks) * study.seeds
        echo(f"{counted(number, 'run')} of the grid follow, with the options that the tuning chooses.")


def write(found: StudyFindings, out: Path) -> None:
    """Print the page, and save it as Markdown, JSON, PNG and HTML."""
    shown, figure, document = blocks(found), picture(found), numbers(found)
    text = markdown(shown)
    write_study(out, document, text.removesuffix("\n"), figure)
    caption = f"{document['what']}. {document['words']}"
    html = page(shown, beside(out, ".png").read_bytes(), caption)
    write_whole(beside(out, ".html"), html.encode())
    echo(f"\n{text}\n{out}.md, .json, .png, .html")


def parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=absolute_path, metavar="STUDY.json", help="the study, as docs/study.md says")
    parser.add_argument(
        "--out", type=absolute_path, help="write OUT.md, .json, .png and .html (default: ARTIFACTS/NAME)"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N",
        help="runs beside one another, each with its share of the cores (default: one a core, as memory allows)",
    )  # fmt: skip
    parser.add_argument(
        "--memory", type=float, metavar="GB",
        help="memory for all runs, judged by what the first takes (default: most that is free, or any with --workers)",
    )  # fmt: skip
    parser.add_argument("--artifacts", type=absolute_path, help="folder of the runs (default: artifacts/NAME)")
    parser.add_argument("--dry_run", action="store_true", help="check everything and show the runs, and make none")
    parser.add_argument("--force", action="store_true", help="make again the runs that are there")
    return parser


if __name__ == "__main__":
    sys.exit(run_script(main, stopped="the finished runs stay; the same command goes on"))
