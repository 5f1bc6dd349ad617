"""Dice of the models of finished runs: overall, TC, WT and ET.

python result_stat/evaluate.py                      the best model of every run in artifacts/
python result_stat/evaluate.py artifacts/run-001    one run; --model last or a file for other weights
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import pandas as pd

from fedmed.data.cache import Caching
from fedmed.data.case_facts import FactsBook
from fedmed.errors import InputError, in_words
from fedmed.evaluation import long_table, score, validation_cases
from fedmed.experiment import Data, Experiment
from fedmed.options import Parser, absolute_path
from fedmed.run_folder import ARTIFACTS, BEST, RunFolder
from fedmed.trained_model import open_model

TABLE = "evaluation"


def main(arguments: Sequence[str] | None = None) -> int:
    """Score, print and save; 0 when done, 2 when something given cannot be used."""
    try:
        args = parser().parse_args(arguments)
        tables = evaluate_all(args)
    except (InputError, OSError) as error:
        print(f"error: {in_words(error)}", file=sys.stderr)
        return 2
    print(summary(tables))
    return 0


def parser() -> Parser:
    """The command line."""
    parser = Parser(description="Dice of the models of finished runs.")
    parser.add_argument("runs", nargs="*", type=absolute_path, help="run folders (default: all with a best model)")
    parser.add_argument(
        "--artifacts", type=absolute_path, default=HERE.parent / ARTIFACTS, help="where runs are looked for"
    )
    parser.add_argument("--model", type=_model, default="best", help="best, last or a .pt file (default: %(default)s)")
    parser.add_argument("--dataset_base_dir", type=absolute_path, help="dataset folder (default: the run's)")
    parser.add_argument(
        "--datalist_json_path", type=absolute_path, help="folder of the lists, or one list (default: the run's)"
    )
    return parser


def evaluate_all(args: argparse.Namespace) -> list[pd.DataFrame]:
    """Score the runs that are named, or every one there is; of the latter one that cannot be scored is passed over."""
    if args.runs:
        runs = [RunFolder.open(path) for path in args.runs]
        return [evaluate(run, label, args) for run, label in zip(runs, RunFolder.labels(args.runs), strict=True)]
    tables = []
    for run in runs_with_a_model(args.artifacts):
        try:
            tables.append(evaluate(run, run.name, args))
        except InputError as error:
            print(f"{run.name} is passed over: {error}", file=sys.stderr)
    if not tables:
        raise InputError(f"No run in {args.artifacts} can be scored; name one to see why.")
    return tables


def runs_with_a_model(artifacts: Path) -> list[RunFolder]:
    """Every run with a best model, by name.

    Raises:
        InputError: there is none.
    """
    runs = [RunFolder(path.parent) for path in sorted(artifacts.glob(f"*/{BEST}"))]
    if not runs:
        raise InputError(f"{artifacts} holds no run with a best model; make one with python job.py, or name others.")
    return runs


def evaluate(run: RunFolder, label: str, args: argparse.Namespace) -> pd.DataFrame:
    """Score one run's model, and leave the numbers of every case in its folder."""
    experiment = run.experiment()
    data = dataclasses.replace(
        experiment.data,
        dataset_base_dir=args.dataset_base_dir or experiment.data.dataset_base_dir,
        datalist_json_path=args.datalist_json_path or experiment.data.datalist_json_path,
    )
    model = open_model(run.path, args.model)
    weights = model.weights
    held = caching(experiment, run)
    cases, label_scheme = validation_cases(experiment, data, FactsBook(held.disk))
    print(f"{run.name}: {weights.name} on {len(cases)} cases", flush=True)
    table = long_table(label, score(model, cases, label_scheme, held))
    table.to_csv(run.path / f"{TABLE}-{weights.stem}.csv", index=False)
    return table


def caching(experiment: Experiment, run: RunFolder) -> Caching:
    """Where prepared cases may lie already: in CACHE_ROOT, or in the folder that the run used if it is still there."""
    folder = Data.of_this_site().cache_dir or experiment.data.cache_dir
    if folder is None or not folder.is_dir():
        return Caching()
    try:
        disk = experiment.with_data(Data(cache_dir=folder)).caching().disk
    except InputError as error:  # an evaluation goes as well without
        print(f"{run.name} is scored without the cache: {error}", file=sys.stderr)
        return Caching()
    return Caching(disk=disk)


def summary(tables: Sequence[pd.DataFrame]) -> str:
    """A row a run and rule: the mean over all cases and regions, and over the cases of each region."""
    everything = pd.concat(tables)
    by_region = everything.pivot_table("value", ["run", "metric"], "region", sort=False)
    by_region.insert(0, "overall", everything.groupby(["run", "metric"])["value"].mean())
    counts = everything.groupby(["run", "metric"])["case"].nunique()
    by_region.insert(0, "cases", counts)
    shown = by_region.reset_index().to_string(index=False, float_format="{:.4f}".format, na_rep="-")
    return f"\n{shown}\n\n{RULES}"


def _model(text: str) -> str:
    return text if text in ("best", "last") else str(absolute_path(text))


RULES = (
    "dice: the published rule, empty regions dropped from the mean. "
    "challenge_dice: an empty region counts 1 if the prediction is empty too, else 0."
)

if __name__ == "__main__":
    sys.exit(main())
