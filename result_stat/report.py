"""One self-contained HTML page about a run: settings, data, curves, scores, privacy, best and worst cases.

python result_stat/report.py artifacts/run-001      -> artifacts/run-001/report.html

It opens without a network. A run that was not scored yet is scored first, as by evaluate.py.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.core.errors import InputError
from fedmed.core.files import check_place, write_whole
from fedmed.core.options import expect_between
from fedmed.core.progress import importing

with importing(__name__):
    from fedmed.analysis.report.run_page import run_page
    from fedmed.runs.run_folder import RunFolder
    from result_stat import evaluate

PAGE = "report.html"

MOST_PICTURES = 100
"""A page with more opens slowly."""


def main(arguments: Sequence[str]) -> None:
    """Write the page."""
    args = parser().parse_args(arguments)
    expect_between("pictures", args.pictures, 0, MOST_PICTURES)
    out = args.out or args.run / PAGE
    _refuse(out, args.force)
    if args.task:
        raise InputError("--task is for files of weights, and a run states its own; leave it out.")
    page = run_page(RunFolder.open(args.run), evaluate.request_of(args, folder=False), args.pictures)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, page.encode())
    echo(f"{out}: {len(page) / 1e6:.1f} MB, shows images of cases")


def parser() -> Parser:
    """The command line: that of evaluate.py for one run, and where the page goes."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=absolute_path, help="run folder")
    parser.add_argument("--out", type=absolute_path, help=f"page to write (default: {PAGE} in the run folder)")
    parser.add_argument("--pictures", type=int, default=2, help="worst, and best, cases to show (default: %(default)s)")
    parser.add_argument(
        "--force", action="store_true", help="replace a page that is there, and an evaluation that differs"
    )
    evaluate.add_choices(parser)
    return parser


def _refuse(out: Path, force: bool) -> None:
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out is {out}; expected a name that ends in .html.")
    if out.exists() and not force:
        raise InputError(f"{out} exists and is kept; give --force to replace it, or --out for another place.")
    check_place("out", out.parent)


if __name__ == "__main__":
    sys.exit(run_script(main, stopped=evaluate.STOPPED))
