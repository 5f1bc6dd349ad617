"""Runs of job.py that are made once: a study that was interrupted takes those that are finished."""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fedmed.command_line import read_experiment
from fedmed.core.cli import Parser, absolute_path, behind_dashes
from fedmed.core.errors import InputError, RunFailed
from fedmed.core.settings import Data
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder

PROJECT = Path(__file__).resolve().parents[1]


def study_parser(description: str, artifacts: str, seeds: int) -> Parser:
    """The options of a study on data of this machine: places, environment, seeds, artifacts and the figure.

    Args:
        artifacts: the name of the folder of the runs, below the project's own.
        seeds: how many by default.
    """
    here = Data.of_this_site()
    parser = Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("dataset_base_dir", "datalist_json_path"):
        place_here = getattr(here, name)
        parser.add_argument(f"--{name}", type=absolute_path, default=place_here, required=place_here is None)
    parser.add_argument("--env", default="sim", help="environment of every run (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=seeds, help="how many, from 0 on (default: %(default)s)")
    parser.add_argument(
        "--artifacts", type=absolute_path, default=PROJECT / "artifacts" / artifacts, help="folder of the runs"
    )
    parser.add_argument("--out", type=absolute_path, help="write OUT.json, OUT.md and OUT.png")
    return parser


def read_study(parser: Parser, arguments: Sequence[str]) -> argparse.Namespace:
    """The command line of a study; ``job`` are the options behind ``--``, which go to every run."""
    own, job = behind_dashes(arguments)
    args = parser.parse_args(own)
    args.job = job
    return args


def run_options(task: str, way: str, seed: int, args: argparse.Namespace, given: Sequence[str]) -> list[str]:
    """The command line of one run of a study, whose name is that of its way with its seed.

    Args:
        args: the command line of the study; ``n_clients`` are the sites.
        given: the options of the way, behind those of all runs.
    """
    data = ["--dataset_base_dir", str(args.dataset_base_dir), "--datalist_json_path", str(args.datalist_json_path)]
    place = ["--artifacts", str(args.artifacts), "--job_name", f"{way}-seed{seed}"]
    chosen = ["--task", task, "--n_clients", str(args.n_clients), "--seed", str(seed), "--env", args.env]
    return [*data, *place, *chosen, *args.job, *given]


def finished_run(options: Sequence[str], artifacts: Path) -> RunFolder:
    """The finished run of a command line, made if it is missing.

    Args:
        options: those of job.py, ``--artifacts`` and ``--job_name`` among them.
        artifacts: the folder that they name.

    Raises:
        InputError: a finished run of that name has other settings.
        RunFailed: the run failed.
    """
    wanted = read_experiment(list(options))
    found = finished_of(artifacts, wanted)
    if found is None:
        command = [sys.executable, str(PROJECT / "job.py"), *options]
        if subprocess.run(command).returncode != 0:
            raise RunFailed(f"The run {wanted.job_name} failed; its output is above.")
        found = finished_of(artifacts, wanted)
    if found is None:
        raise RunFailed(f"The run {wanted.job_name} left no finished folder in {artifacts}.")
    return found


def finished_of(artifacts: Path, wanted: Experiment) -> RunFolder | None:
    """The last finished run of an experiment's name; None where there is none.

    Raises:
        InputError: it has other settings.
    """
    for path in sorted(artifacts.glob(f"{wanted.job_name}-[0-9]*"), reverse=True):
        run = RunFolder(path)
        if run.status != "finished":
            continue
        if comparable(run.experiment()) != comparable(wanted):
            raise InputError(
                f"{path} is a run with other settings; name another folder with --artifacts, or remove it."
            )
        return run
    return None


def comparable(experiment: Experiment) -> Experiment:
    """The experiment without what a run fills in: its identity, and the places of its folder and its cache."""
    return replace(experiment, data=replace(experiment.data, cache_dir=None), artifacts=None, run_id=None)


def draw_curves(
    axes: Axes,
    curves: Mapping[str, Sequence[Mapping[Any, float]]],
    colors: Mapping[str, str],
    score: str,
    across: str = "rounds",
) -> None:
    """A score on the validation cases by round, or by what ``across`` says, a line a seed of each way."""
    for way, seeds in curves.items():
        for number, scores in enumerate(seeds):
            label = way if number == 0 else None
            axes.plot(list(scores), list(scores.values()), color=colors[way], alpha=0.8, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(across)
    axes.set_ylabel(score)
    if curves:
        axes.legend(fontsize=8)
