"""Runs against each other on the same cases: a paper's table with intervals, paired tests, and the sites' fairness.

python result_stat/compare.py artifacts/run-001 artifacts/run-002                  Dice of the best models, as Markdown
python result_stat/compare.py artifacts/run-00* --metric hd95 --out hd95.tex       a LaTeX file too
python result_stat/compare.py artifacts/run-00* --out runs.md --out runs.csv       runs.csv and runs-tests.csv

Each run must have been scored before, by python result_stat/evaluate.py RUN.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

from fedmed.analysis.comparison.compared_run import metric_of, read_runs
from fedmed.analysis.comparison.comparison_report import (
    Compared,
    compared,
    comparison_numbers,
    runs_numbers,
    sections,
)
from fedmed.analysis.comparison.table_document import latex, markdown
from fedmed.core.cli import Parser, absolute_path
from fedmed.core.errors import InputError, in_words
from fedmed.core.files import write_whole

SUFFIXES = (".md", ".csv", ".tex")


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print and save; 0 when done, 2 when something given cannot be used."""
    try:
        args = parser().parse_args(arguments)
        refuse_existing(args.out, args.force)
        runs = read_runs(args.runs, args.model, args.split)
        found = compared(runs, metric_of(runs, args.metric))
        for path, text in outputs(found, args.out).items():
            write_whole(path, text.encode())
    except (InputError, OSError) as error:
        print(f"error: {' '.join(in_words(error).split())}", file=sys.stderr)
        return 2
    print(markdown(sections(found)), end="")
    return 0


def parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=absolute_path, metavar="RUN", help="run folders")
    parser.add_argument(
        "--model", type=_model, help="best, last or a file's name (default: best, or last where none was chosen)"
    )
    parser.add_argument("--split", choices=("validation", "test"), default="validation", help="(default: %(default)s)")
    parser.add_argument("--metric", default="dice", help="what is compared (default: %(default)s)")
    parser.add_argument(
        "--out", type=absolute_path, action="append", default=[], metavar="FILE",
        help="also write FILE.md, FILE.tex or FILE.csv (with FILE-tests.csv); may be repeated",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    return parser


def refuse_existing(out: Sequence[Path], force: bool) -> None:
    """Refuse before any work what could not be written after it.

    Raises:
        InputError: a file exists, comes twice, is of an unknown kind or has no folder to lie in.
    """
    taken: set[Path] = set()
    for path in out:
        if path.suffix not in SUFFIXES:
            raise InputError(f"--out {path} ends in none of {', '.join(SUFFIXES)}; the ending says what is written.")
        if not path.parent.is_dir():
            raise InputError(f"--out {path} lies in no existing folder; make {path.parent} first.")
        for each in (path, tests_path(path)) if path.suffix == ".csv" else (path,):
            if each in taken:
                raise InputError(f"--out would write {each} twice; give each output a name of its own.")
            if each.exists() and not force:
                raise InputError(f"{each} exists and is kept; give --force to replace it, or another name.")
            taken.add(each)


def outputs(found: Compared, out: Sequence[Path]) -> Mapping[Path, str]:
    """The text of every file to be written."""
    texts: dict[Path, str] = {}
    for path in out:
        if path.suffix == ".csv":
            texts[path] = runs_numbers(found).to_csv(index=False)
            texts[tests_path(path)] = comparison_numbers(found).to_csv(index=False)
        else:
            texts[path] = (latex if path.suffix == ".tex" else markdown)(sections(found))
    return texts


def tests_path(path: Path) -> Path:
    """Where the tests go beside a CSV file of the runs."""
    return path.with_name(f"{path.stem}-tests.csv")


def _model(text: str) -> str:
    """An evaluation's name of a model: that of a file is its stem."""
    return text if text in ("best", "last") else Path(text).stem


if __name__ == "__main__":
    sys.exit(main())
