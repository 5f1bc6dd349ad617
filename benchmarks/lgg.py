"""Lower-grade gliomas by institution: what federated training gives, also at a hospital that nobody trained on.

python benchmarks/lgg.py TREE --work FOLDER --out figs/lgg -- --env pool --network unet_16 --num_rounds 40
python benchmarks/lgg.py TREE --work FOLDER --parts folds --ways central fedavg --seeds 1 -- ...       a part of it

TREE is the folder of the patients' folders; what stands behind -- goes to every run of job.py. Part "folds": five folds
dealt by institution, the test patients of all folds pooled. Part "hold_out": each institution in turn is trained on by
nobody and scored. FOLDER gets the lists and the runs. The same command goes on after an interruption: lists and runs
that are finished are not made again, a run that was cut off goes on after its last round, and more seeds, ways or parts
are added to what is there. OUT.md has the tables, OUT.json every number, OUT.png the figure.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import pandas as pd

from benchmarks.lgg_figure import figure
from benchmarks.lgg_splits import FOLDS, made_lists
from benchmarks.lgg_tables import document, tables
from fedmed.analysis.comparison.table_document import markdown
from fedmed.analysis.cross_validation.folds import OURS, SITES, expect_same_cases, planned_fold, refuse_options
from fedmed.analysis.evaluation.evaluation_folder import EVALUATION, EvaluationFolder
from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
from fedmed.analysis.evaluation.run_evaluation import evaluate
from fedmed.analysis.study.study_files import write_study
from fedmed.command_line import read_experiment
from fedmed.core import machine
from fedmed.core.cli import Parser, absolute_path, behind_dashes, echo, run_script
from fedmed.core.errors import InputError
from fedmed.core.options import expect_between, to_plain
from fedmed.data.lgg.lgg_layout import FOLDER
from fedmed.runs.run_folder import RunFolder
from fedmed.runs.study_runs import made

JOB = HERE.parent / "job.py"

WAYS: Mapping[str, Sequence[str]] = {
    "central": ("--n_clients", "1"),
    "fedavg": (),
    "local": ("--algorithm", "local"),
    "central_group": ("--n_clients", "1", "--norm", "group"),
    "fedavg_group": ("--norm", "group"),
}
"""The options of each way: all data in one place, federated and each site alone, with batch and group norm."""

PARTS: Mapping[str, Sequence[str]] = {"folds": tuple(WAYS), "hold_out": ("central", "fedavg", "local")}
"""The ways of each part."""

CHOSEN_HERE = OURS | SITES | {"--task", "--algorithm", "--norm", "--seed", "--dataset_base_dir"}
"""Options of job.py that the study gives itself."""


@dataclass(frozen=True)
class Planned:
    """One run of the study: what it belongs to, its lists and the options of job.py."""

    part: str
    way: str
    seed: int
    lists: Path
    options: tuple[str, ...]

    @property
    def name(self) -> str:
        """The run's name without that of its lists."""
        return f"{self.way}-seed{self.seed}"


def main(arguments: Sequence[str]) -> None:
    """Make the lists and the runs that are missing, score them, print the tables and write them."""
    args = read_arguments(arguments)
    lists = made_lists(args.tree, args.work / "lists", args.parts, args.folds, args.hold_out)
    runs = list(planned(lists, args))
    scores, made_of = [], dict[str, Any]()
    for number, run in enumerate(runs, start=1):
        echo(f"{number} of {len(runs)}: {run.name} on {run.lists.name}", sys.stderr)
        folder = finished(run, args.work / "runs")
        scores.append(scored(folder, run))
        made_of[folder.name] = facts(folder)
    write(pd.concat(scores, ignore_index=True), made_of, args)


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line, checked as far as it can be before any file is read; ``job`` stands behind ``--``.

    Raises:
        InputError: it cannot be used.
    """
    own, job = behind_dashes(arguments)
    args = parser().parse_args(own)
    args.job = job
    refuse_options(job, CHOSEN_HERE, "which the study chooses")
    expect_between("seeds", args.seeds, 1, 100)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)  # before, not after, the hours of training
    for way in args.ways:
        read_experiment([*options_of(way, 0, args), "--datalist_json_path", str(args.work)])
    return args


def parser() -> Parser:
    """The command line, without what stands behind ``--``."""
    found = Parser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="lgg.py [OPTION ...] TREE --work FOLDER -- [OPTION OF job.py ...]",
    )
    found.add_argument("tree", type=absolute_path, metavar="TREE", help="the set, a folder of patients' folders")
    found.add_argument("--work", type=absolute_path, required=True, help="folder of the lists and the runs")
    found.add_argument("--seeds", type=int, default=2, help="how many, from 0 on (default: %(default)s)")
    found.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=list(PARTS), help="(default: all)")
    found.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=list(WAYS), help="(default: all)")
    found.add_argument("--folds", type=int, default=5, help="of part folds (default: %(default)s)")
    found.add_argument(
        "--hold_out", nargs="+", metavar="CODE",
        help="institutions that are left out in turn (default: each with 5 patients or more)",
    )  # fmt: skip
    found.add_argument("--out", type=absolute_path, help="write OUT.md, OUT.json and OUT.png")
    return found


def options_of(way: str, seed: int, args: argparse.Namespace) -> list[str]:
    """The options of job.py of one way, without its lists."""
    return ["--task", "lgg", "--dataset_base_dir", str(args.tree), *args.job, "--seed", str(seed), *WAYS[way]]


def planned(lists: Mapping[str, Sequence[Path]], args: argparse.Namespace) -> Iterator[Planned]:
    """Every run of the study, all of one seed before the next, so that what was made first can be read by itself."""
    for seed in range(args.seeds):
        for part, folders in lists.items():
            for way in (way for way in PARTS[part] if way in args.ways):
                for folder in folders:
                    yield Planned(part, way, seed, folder, tuple(options_of(way, seed, args)))


def finished(run: Planned, artifacts: Path) -> RunFolder:
    """The finished run, made if it is missing.

    Raises:
        InputError: it was trained on other cases than its lists name now.
        RunFailed: it failed.
    """
    artifacts.mkdir(parents=True, exist_ok=True)
    fold = planned_fold(run.lists, run.options, run.name, read_experiment)
    folder = made(fold.experiment, fold.arguments, JOB, artifacts, force=False)
    expect_same_cases(folder, fold.experiment)
    return folder


def scored(folder: RunFolder, run: Planned) -> pd.DataFrame:
    """The rows of the run's test patients, with their institution and what the run belongs to.

    Of a run that left an institution out those of its patients alone; patients of small ones are tested beside them.
    """
    model = folder.usual_model()
    evaluate(folder.path, folder.name, EvaluationRequest(model=model, split="test"))
    made_here = EvaluationFolder(folder.path / EVALUATION / f"{model}-test")
    cases, patients = made_here.cases(), made_here.document()["patients"]
    found = cases.drop(columns="run").assign(
        part=run.part, way=run.way, seed=run.seed,
        patient=cases["case"].map(patients), institution=[institution_of(case) for case in cases["case"]],
    )  # fmt: skip
    return found if run.part == FOLDS else found[found["institution"] == run.lists.name.removeprefix("without-")]


def institution_of(case: str) -> str:
    """The code in the name of a patient's folder.

    Raises:
        InputError: it has none.
    """
    named = FOLDER.fullmatch(case)
    if named is None:
        raise InputError(
            f"The case {case} is not named as TCGA_CS_4941_19960909 is; rename its folder, and start anew."
        )
    return named["institution"]


def facts(folder: RunFolder) -> dict[str, Any]:
    """The settings of a run, the hours of its rounds, and the machine."""
    experiment = folder.experiment()
    seconds = sum(float(record["seconds"]) for record in folder.records())
    return {
        "task": to_plain(experiment.task),
        "training": to_plain(experiment.training),
        "hours": seconds / 3600,
        "machine": machine.one_line(folder.read_json("environment")),
    }


def write(scores: pd.DataFrame, runs: Mapping[str, Mapping[str, Any]], args: argparse.Namespace) -> None:
    """Print the tables; with ``--out`` write them, every number and the figure."""
    settings = {name: getattr(args, name) for name in ("seeds", "parts", "ways", "folds", "job")}
    text = markdown(tables(scores, runs))
    echo(f"\n{text}")
    if args.out:
        about = {"settings": settings, "machine": machine.describe(), "runs": dict(runs)}
        write_study(args.out, {**about, **json.loads(json.dumps(document(scores)))}, text.rstrip("\n"), figure(scores))
        echo(f"{args.out}.md, .json, .png")


if __name__ == "__main__":
    sys.exit(run_script(main, stopped="what is finished stays; the same command goes on"))
