"""Runs against each other on the same cases: a paper's table with intervals, paired tests, and the sites' fairness.

python result_stat/compare.py artifacts/run-001 artifacts/run-002                  the best models, as Markdown
python result_stat/compare.py artifacts/run-00* --metric hd95 --out hd95.tex       a LaTeX file too
python result_stat/compare.py artifacts/run-00* --out runs.md --out runs.csv       runs.csv and runs-tests.csv

Each run must have been scored before, by python result_stat/evaluate.py RUN.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.core.files import write_whole
from fedmed.core.progress import importing

with importing(__name__):
    from fedmed.analysis.comparison.compared_run import metric_of, read_runs
    from fedmed.analysis.comparison.comparison_files import contents, refuse_unwritable
    from fedmed.analysis.comparison.comparison_report import blocks, compared
    from fedmed.analysis.comparison.table_document import markdown


def main(arguments: Sequence[str]) -> None:
    """Compare, save and print."""
    args = parser().parse_args(arguments)
    refuse_unwritable(args.out, args.force)
    runs = read_runs(args.runs, args.model, args.split)
    found = compared(runs, metric_of(runs, args.metric or runs[0].experiment.task.METRICS[0].name))
    for path, content in contents(found, args.out).items():
        write_whole(path, content)
    echo(markdown(blocks(found)).removesuffix("\n"))


def parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=absolute_path, metavar="RUN", help="run folders")
    parser.add_argument(
        "--model", type=_model, help="best, last, own or a file's name (default: best, or last where none was chosen)"
    )
    parser.add_argument("--split", choices=("validation", "test"), default="validation", help="(default: %(default)s)")
    parser.add_argument("--metric", help="the metric that is compared (default: the task's first, such as dice)")
    parser.add_argument(
        "--out", type=absolute_path, action="append", default=[], metavar="FILE",
        help="also write FILE.md, FILE.tex or FILE.csv (with FILE-tests.csv); may be repeated",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    return parser


def _model(text: str) -> str:
    """An evaluation's name of a model: that of a file is its stem."""
    return text if text in ("best", "last") else Path(text).stem


if __name__ == "__main__":
    sys.exit(run_script(main))
