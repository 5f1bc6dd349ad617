"""A cross-validation: a run of job.py on every fold of a split, and all test cases together, every patient once.

python result_stat/cross_validate.py lists -- --task lgg --num_rounds 40       the folds lists/fold-1, lists/fold-2 ...
python result_stat/cross_validate.py lists --name central -- --task lgg --n_clients 1       centralised, on site-All

Behind -- stand the options of job.py for every fold. Where they name no sites, all sites of the lists take part. The
runs are <name>-fold-<n>-... in --artifacts; one that is finished is not made again, and the model that did not learn
from a patient scores it once. OUT.md has the tables, OUT.json every number, OUT.png a dot a patient.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

from fedmed.core.cli import Parser, absolute_path, behind_dashes, echo, run_script
from fedmed.core.files import write_whole
from fedmed.core.names import ARTIFACTS
from fedmed.core.progress import importing

with importing(__name__):
    from fedmed.analysis.comparison.table_document import markdown
    from fedmed.analysis.cross_validation.fold_picture import draw
    from fedmed.analysis.cross_validation.fold_report import in_words, numbers, report
    from fedmed.analysis.cross_validation.folds import Fold, expect_same_cases, planned_folds
    from fedmed.analysis.cross_validation.pooled_folds import pooled
    from fedmed.analysis.evaluation.evaluation_folder import EVALUATION, EvaluationFolder
    from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
    from fedmed.analysis.evaluation.run_evaluation import evaluate
    from fedmed.command_line import read_experiment
    from fedmed.core import machine
    from fedmed.runs.run_folder import RunFolder
    from fedmed.runs.study_runs import finished, made

JOB = HERE.parent / "job.py"


def main(arguments: Sequence[str]) -> None:
    """Train, score, pool, print and save."""
    own, job = behind_dashes(arguments)
    args = parser().parse_args(own)
    folds = planned_folds(args.split, job, args.name, read_experiment)
    out = args.out or args.artifacts / args.name
    for folder in (args.artifacts, out.parent):  # before, not after, the hours of training
        folder.mkdir(parents=True, exist_ok=True)
    refuse_other_cases(folds, args)
    runs = {}
    for fold in folds:
        echo(f"{fold.name}: {len(fold.tested)} {fold.experiment.task.unit}s to test", sys.stderr)
        runs[fold.name] = made(fold.experiment, fold.arguments, JOB, args.artifacts, force=args.force)
    write(folds, runs, args, out)


def refuse_other_cases(folds: Sequence[Fold], args: argparse.Namespace) -> None:
    """Refuse finished runs that were trained on other lists, before any other run is made.

    Raises:
        InputError: there is one.
    """
    for fold in folds:
        run = None if args.force else finished(args.artifacts, fold.experiment)
        if run is not None:
            expect_same_cases(run, fold.experiment)


def write(folds: Sequence[Fold], runs: dict[str, RunFolder], args: argparse.Namespace, out: Path) -> None:
    """Score each fold's test cases, and write the tables, the numbers and the picture of all of them."""
    scored = {name: scored_cases(run, args) for name, run in runs.items()}
    found = pooled(folds[0].experiment.task, scored)
    about = next(iter(scored.values())).document()
    line = in_words(folds, found, about["data"], about["model"])
    here = machine.describe()
    text = markdown(report(folds, found, line))
    document = {**numbers({name: run.name for name, run in runs.items()}, found, line), "machine": here}
    write_whole(out.with_name(f"{out.name}.json"), (json.dumps(document, indent=2) + "\n").encode())
    write_whole(out.with_name(f"{out.name}.md"), text.encode())
    draw(found, f"{line}\n{machine.one_line(here)}", out.with_name(f"{out.name}.png"))
    echo(f"\n{text}\n{out}.md, .json, .png")


def scored_cases(run: RunFolder, args: argparse.Namespace) -> EvaluationFolder:
    """The evaluation of a fold's model on its test cases."""
    model = args.model or run.usual_model()
    evaluate(run.path, run.name, EvaluationRequest(model=model, split="test", flips=args.flips, force=args.force))
    return EvaluationFolder(run.path / EVALUATION / f"{model}-test")


def parser() -> Parser:
    """The command line, without what stands behind ``--``."""
    parser = Parser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="cross_validate.py [OPTION ...] SPLIT -- [OPTION OF job.py ...]",
    )
    parser.add_argument("split", type=absolute_path, metavar="SPLIT", help="folder of the folders fold-1, fold-2 ...")
    parser.add_argument("--name", default="cv", help="begins the names of the runs (default: %(default)s)")
    parser.add_argument("--model", choices=("best", "last"), help="the model of each fold (default: best)")
    parser.add_argument("--flips", action="store_true", help="average over mirrored copies of each image")
    parser.add_argument("--force", action="store_true", help="train and score again what is there")
    artifacts = HERE.parent / ARTIFACTS / "cross_validation"
    parser.add_argument(
        "--artifacts", type=absolute_path, default=artifacts,
        help="folder of the runs (default: artifacts/cross_validation)",
    )  # fmt: skip
    parser.add_argument("--out", type=absolute_path, help="write OUT.md, .json and .png (default: ARTIFACTS/NAME)")
    return parser


if __name__ == "__main__":
    sys.exit(run_script(main, stopped="the finished runs stay; start again to go on"))
