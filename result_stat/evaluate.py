"""Scores of trained models, as a paper needs them: Dice, HD95, surface Dice, volumes, lesions; by case, region, site.

python result_stat/evaluate.py                      the best model of every run in artifacts/
python result_stat/evaluate.py artifacts/run-001    one run; --model last, own or a file for other weights
python result_stat/evaluate.py best_FL_global_model.pt --datalist lists --dataset_base_dir data    a file of weights

The numbers of every case, a table with intervals and what was scored go to <run>/evaluation/<model>-<split>/.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.core.errors import InputError
from fedmed.core.names import ARTIFACTS, OWN
from fedmed.core.progress import importing

with importing(__name__):
    from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
    from fedmed.analysis.evaluation.evaluation_text import overview
    from fedmed.analysis.evaluation.run_evaluation import evaluate_every, evaluate_named
    from fedmed.analysis.evaluation.trained_model import DEFAULT_TASK
    from fedmed.runs.run_folder import RunFolder

STOPPED = "the scored cases are recorded; the same command goes on with the rest"


def main(arguments: Sequence[str]) -> None:
    """Score, print and save."""
    args = parser().parse_args(arguments)
    check(args)
    request = request_of(args)
    found = (
        evaluate_named(args.runs, RunFolder.labels(args.runs), request)
        if args.runs
        else evaluate_every(args.artifacts, request)
    )
    if len(found) > 1:
        echo(f"\n{overview({label: (each.task.METRICS, each.table) for label, each in found.items()})}")


def check(args: argparse.Namespace) -> None:
    """Refuse what does not fit the runs that are named.

    Raises:
        InputError: there is such an option, or a run is named twice.
    """
    if args.out and len(args.runs) != 1:
        raise InputError(f"--out is one folder, but {len(args.runs) or 'no'} runs are named; name one run with it.")
    for path, count in Counter(args.runs).items():
        if count > 1:
            raise InputError(f"{path} is named twice; name it once.")
    if args.task and not (args.runs and all(path.is_file() for path in args.runs)):
        raise InputError("--task is for files of weights, and a run states its own; leave it out.")


def parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "runs", nargs="*", type=absolute_path, help="run folders, or .pt files (default: all runs with a model)"
    )
    parser.add_argument(
        "--artifacts", type=absolute_path, default=HERE.parent / ARTIFACTS, help="where runs are looked for"
    )
    parser.add_argument(
        "--out", type=absolute_path,
        help="folder of the results of one run or file (default: evaluation/<model>-<split> in the run folder)",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="score anew what has been scored")
    add_choices(parser)
    return parser


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Add the options of a model and its cases."""
    parser.add_argument(
        "--model", type=model_name,
        help="best, last, own for each site's own model on the site's cases, or a .pt file (default: best)",
    )  # fmt: skip
    parser.add_argument("--task", help=f"task of a .pt file (default: {DEFAULT_TASK})")
    parser.add_argument("--dataset_base_dir", type=absolute_path, help="dataset folder (default: the run's)")
    parser.add_argument(
        "--datalist", "--datalist_json_path", type=absolute_path, dest="datalist",
        help="folder of the lists, or one list (default: the run's)",
    )  # fmt: skip
    parser.add_argument(
        "--split", choices=("validation", "test"), default="validation",
        help="the sites' validation cases, or their test cases or those of test.json (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--flips", action="store_true", help="average over the eight mirrored copies of each image")


def request_of(args: argparse.Namespace, folder: bool = True) -> EvaluationRequest:
    """The choices as an evaluation takes them; ``--out`` is the folder of the results, unless ``folder`` is false."""
    names = ("model", "dataset_base_dir", "datalist", "split", "flips", "force")
    given = {name: getattr(args, name) for name in names}
    return EvaluationRequest(**given, task=args.task or DEFAULT_TASK, folder=args.out if folder else None)


def model_name(text: str) -> str:
    """``best``, ``last``, ``own`` or the absolute path of a file."""
    return text if text in ("best", "last", OWN) else str(absolute_path(text))


if __name__ == "__main__":
    sys.exit(run_script(main, stopped=STOPPED))
