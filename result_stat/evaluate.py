"""Everything that a paper says of a model: Dice, HD95, surface Dice, volumes and lesions, by case, region and site.

python result_stat/evaluate.py                      the best model of every run in artifacts/
python result_stat/evaluate.py artifacts/run-001    one run; --model last or a file for other weights
python result_stat/evaluate.py best_FL_global_model.pt --datalist lists --dataset_base_dir data    a file of weights

The numbers of every case, a table with intervals and what was scored go to <run>/evaluation/<model>-<split>/.
"""

import argparse
import hashlib
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import pandas as pd
from tqdm import tqdm

from fedmed.analysis.evaluation.case_scoring import Unit, caching_after, measure
from fedmed.analysis.evaluation.evaluation_cases import EvaluationCases, evaluation_cases
from fedmed.analysis.evaluation.evaluation_folder import EVALUATION, EvaluationFolder
from fedmed.analysis.evaluation.evaluation_table import (
    long_table,
    notes,
    pooled_text,
    site_text,
    spread_text,
    summarize,
)
from fedmed.analysis.evaluation.trained_model import DEFAULT_TASK, TrainedModel, open_model
from fedmed.core import machine
from fedmed.core.cli import Parser, absolute_path
from fedmed.core.errors import InputError, in_words
from fedmed.data.audit.case_facts import FactsBook
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Data
from fedmed.runs.run_folder import ARTIFACTS, BEST, LAST, RunFolder
from fedmed.tasks.base import Task


@dataclass(frozen=True)
class Source:
    """What is to be scored: a run folder or a file of weights, and where its results go."""

    label: str
    place: Path  # the folder that gets the folder ``evaluation``
    name: str  # of the model: best, last or a file's
    models: Mapping[str, TrainedModel]  # by site where each site has its own, else under ""
    run: RunFolder | None

    @property
    def task(self) -> Task:
        return next(iter(self.models.values())).task


def main(arguments: Sequence[str] | None = None) -> int:
    """Score, print and save; 0 when done, 2 when something given cannot be used."""
    try:
        args = parser().parse_args(arguments)
        scored = evaluate_all(args)
    except (InputError, OSError) as error:
        print(f"error: {in_words(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped: the cases that are done are kept; the same command goes on with the rest", file=sys.stderr)
        return 130
    if len(scored) > 1:
        print(f"\n{overview(scored)}")
    return 0


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
        "--out", type=absolute_path, dest="place",
        help="folder of the results of one run or file (default: evaluation/<model>-<split> in the run folder)",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="score anew what has been scored")
    add_choices(parser)
    return parser


def add_choices(parser: argparse.ArgumentParser) -> None:
    """What is scored: which model, on which cases."""
    parser.add_argument("--model", type=_model, help="best, last or a .pt file (default: best)")
    parser.add_argument("--task", default=DEFAULT_TASK, help="task of a .pt file (default: %(default)s)")
    parser.add_argument("--dataset_base_dir", type=absolute_path, help="dataset folder (default: the run's)")
    parser.add_argument(
        "--datalist", "--datalist_json_path", type=absolute_path, dest="datalist",
        help="folder of the lists, or one list (default: the run's)",
    )  # fmt: skip
    parser.add_argument(
        "--split", choices=("validation", "test"), default="validation",
        help="the sites' validation cases, or those of test.json (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--flips", action="store_true", help="average over the eight mirrored copies of each image")


def evaluate_all(args: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """The tables by label: of what is named, or of every run there is; of the latter one that fails is passed over."""
    if args.place and len(args.runs) != 1:
        raise InputError(f"--out is one folder, but {len(args.runs) or 'no'} runs are named; name one run with it.")
    if args.runs:
        labels = RunFolder.labels(args.runs)
        return {label: evaluate(path, label, args) for path, label in zip(args.runs, labels, strict=True)}
    tables = {}
    for run in runs_with_a_model(args.artifacts):
        try:
            tables[run.name] = evaluate(run, run.name, args)
        except InputError as error:
            print(f"{run.name} is passed over: {error}", file=sys.stderr)
    if not tables:
        raise InputError(f"No run in {args.artifacts} can be scored; name one to see why.")
    return tables


def runs_with_a_model(artifacts: Path) -> list[Path]:
    """Every run with a global model, by name.

    Raises:
        InputError: there is none.
    """
    runs = sorted({path.parent for name in (BEST, LAST) for path in artifacts.glob(f"*/{name}")})
    if not runs:
        raise InputError(f"{artifacts} holds no run with a model; make one with python job.py, or name others.")
    return runs


def evaluate(path: Path, label: str, args: argparse.Namespace) -> pd.DataFrame:
    """Score one source, unless that has been done, show its numbers and return its table."""
    source = source_of(path, label, args)
    caching = caching_after(source.run.experiment() if source.run else None, label)
    listed = cases_of(source, args, FactsBook(caching.disk))
    folder = folder_of(source, args)
    identity = identity_of(source, listed, args)
    if not args.force and folder.finished(identity):
        print(f"{label}: {source.name} was scored before; --force scores it again")
    else:
        _score(source, listed, folder, identity, caching)
    return _show(source, folder)


def source_of(path: Path, label: str, args: argparse.Namespace) -> Source:
    """What a path on the command line means.

    Raises:
        InputError: there is no such model.
    """
    if path.is_file():
        if args.model:
            raise InputError(f"{path} is a file of weights and --model names others; give one of them.")
        model = open_model(path, task_name=args.task)
        run = RunFolder(path.parent) if (path.parent / "experiment.json").is_file() else None
        return Source(label, path.parent, path.stem, {"": model}, run)
    run = RunFolder.open(path)
    which = args.model or _usual(run)
    name = which if which in ("best", "last") else Path(which).stem
    own = run.local_models(which)
    models = {site: open_model(file) for site, file in own.items()} or {"": open_model(path, which)}
    return Source(label, path, name, models, run)


def _usual(run: RunFolder) -> str:
    usual = run.usual_model()
    if usual == "last":
        print(f"{run.name}: no best model was chosen, as scores stay at the sites; the last one is scored")
    return usual


def cases_of(source: Source, args: argparse.Namespace, book: FactsBook) -> EvaluationCases:
    """The cases to score: those of the run, where the command line names no others."""
    experiment = source.run.experiment() if source.run else None
    usual = experiment.data if experiment else Data.of_this_site()
    data = Data(args.dataset_base_dir or usual.dataset_base_dir, args.datalist or usual.datalist_json_path)
    dataset, lists = data.resolved()
    sites = experiment.training.sites if experiment else sorted(path.stem for path in lists.glob("site-*.json"))
    if not sites and args.split == "validation" and lists.is_dir():
        raise InputError(f"{lists} holds no site-1.json or the like; name one list with --datalist.")
    return evaluation_cases(source.task, dataset, lists, sites, args.split, book)


def folder_of(source: Source, args: argparse.Namespace) -> EvaluationFolder:
    """Where the evaluation of a source is kept."""
    return EvaluationFolder(args.place or source.place / EVALUATION / f"{source.name}-{args.split}")


def identity_of(source: Source, listed: EvaluationCases | None, args: argparse.Namespace) -> dict[str, Any]:
    """What must be equal for two evaluations to be the same; without cases, as far as that is known."""
    hashes = [_sha256(model.weights) for model in source.models.values()]
    identity = {
        "weights_sha256": hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest(),
        "task": source.task.name,
        "split": args.split,
        "flips": args.flips,
    }
    if listed is None:
        return identity
    truths = {case.name: _sha256(case.label) for case in listed.cases}
    return {**identity, "label_scheme": listed.label_scheme, "truth_sha256": truths, "sites": listed.site_of}


def _score(
    source: Source, listed: EvaluationCases, folder: EvaluationFolder, identity: Mapping[str, Any], caching: Caching
) -> None:
    started, units = time.monotonic(), units_of(source, listed)
    progress = folder.begin(identity)
    with tqdm(total=len(units), desc=f"{source.label}, {source.name}", unit="case") as bar:
        models = {model.weights: model for model in source.models.values()}
        measure(
            units, models, listed.label_scheme, caching, progress, bool(identity["flips"]), lambda key: bar.update()
        )
    patients = {case.name: source.task.patient_of(case) for case in listed.cases}
    results = {unit.key: progress.rows[unit.key] for unit in units}
    table = long_table(source.label, results)
    numbers = summarize(table, patients, [metric.name for metric in source.task.METRICS])
    about = {
        "run": source.label,
        "model": source.name,
        "data": listed.data,
        **identity,
        "patients": patients,
        "cases": list(patients),
        "machine": machine.one_line(machine.describe()),
        "seconds": round(time.monotonic() - started, 1),
    }
    folder.finish(table, numbers, about)


def units_of(source: Source, listed: EvaluationCases) -> list[Unit]:
    """Every case once; where each site has a model of its own, every site's cases by that model."""
    if "" in source.models:
        weights, site_of = source.models[""].weights, listed.site_of
        return [Unit(site_of[case.name], case, weights) for case in listed.cases]
    cases = {site: listed.of_site.get(site, listed.cases) for site in source.models}
    return [Unit(site, case, source.models[site].weights) for site, own in cases.items() for case in own]


def _show(source: Source, folder: EvaluationFolder) -> pd.DataFrame:
    cases, table, about = folder.cases(), folder.table(), folder.document()
    metrics = source.task.METRICS
    print(
        f"\n{source.label}, {source.name} model on {len(about['cases'])} {about['split']} cases: "
        "mean [95 % interval]\n\n"
        f"{pooled_text(table, metrics)}\n\n{metrics[0].title} by site\n\n{site_text(table, metrics[0])}\n\n"
        f"{spread_text(cases, metrics[0])}\n{chr(10).join(notes(table))}\n{folder.path}",
        flush=True,
    )
    return table


def overview(tables: Mapping[str, pd.DataFrame]) -> str:
    """A row a run and rule: the published table's columns."""
    rows = []
    for label, table in tables.items():
        pooled = table[(table["site"] == "pooled") & table["metric"].isin(["dice", "challenge_dice"])]
        for metric, numbers in pooled.groupby("metric", sort=False):
            means = numbers.set_index("region")["mean"]
            rows.append({"run": label, "metric": metric, "cases": int(numbers["cases"].max()), **means})
    return pd.DataFrame(rows).to_string(index=False, float_format="{:.4f}".format, na_rep="-")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _model(text: str) -> str:
    return text if text in ("best", "last") else str(absolute_path(text))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told as Ctrl-C is
    sys.exit(main())
