"""Runs of a study, made by job.py where they are not there yet, and gone on with where they were cut off."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from fedmed.core.cli import echo
from fedmed.core.errors import InputError, RunFailed
from fedmed.experiment import Experiment
from fedmed.runs.resuming import deciding
from fedmed.runs.run_folder import RunFolder


def made(experiment: Experiment, arguments: Sequence[str], job: Path, artifacts: Path, *, force: bool) -> RunFolder:
    """The finished run of an experiment. One that was cut off or failed goes on after its last completed round.

    Args:
        arguments: of job.py, which mean the experiment, without the place of run folders.
        job: the script that makes a run.
        artifacts: the folder of run folders.
        force: make it again where it is there, from the first round.

    Raises:
        InputError: job.py refuses the arguments.
        RunFailed: the run failed.
    """
    run = None if force else finished(artifacts, experiment)
    if run is not None:
        echo(f"{run.name} is there already", sys.stderr)
        return run
    began = time.monotonic()
    further = begun_or_new(experiment, arguments, artifacts, force=force)
    if further[0] == "--resume":
        echo(f"{Path(further[1]).name} goes on", sys.stderr)
    launch(experiment.job_name, further, job, artifacts)
    run = left_by(experiment, artifacts)
    echo(f"{run.name} took {time.monotonic() - began:.0f} s", sys.stderr)
    return run


def begun_or_new(experiment: Experiment, arguments: Sequence[str], artifacts: Path, *, force: bool) -> list[str]:
    """The arguments of job.py by which a missing run goes on where it was cut off, or begins; as of :func:`made`."""
    begun = None if force else unfinished(artifacts, experiment)
    return ["--resume", str(begun.path)] if begun else [*arguments, "--artifacts", str(artifacts)]


def left_by(experiment: Experiment, artifacts: Path) -> RunFolder:
    """The finished run of an experiment that job.py has made.

    Raises:
        RunFailed: there is none.
    """
    run = finished(artifacts, experiment)
    if run is None:
        raise RunFailed(f"job.py left no finished run {experiment.job_name} in {artifacts}.")
    return run


def finished(artifacts: Path, experiment: Experiment) -> RunFolder | None:
    """The last finished run of an experiment; options that change its speed alone make no other experiment."""
    return _last(artifacts, experiment, {"finished"})


def unfinished(artifacts: Path, experiment: Experiment) -> RunFolder | None:
    """The last run of an experiment that was cut off or failed."""
    return _last(artifacts, experiment, {"running", "failed"})


def _last(artifacts: Path, experiment: Experiment, status: Set[str]) -> RunFolder | None:
    for path in sorted(artifacts.glob(f"{experiment.job_name}-*/experiment.json"), reverse=True):
        run = RunFolder(path.parent)
        with contextlib.suppress(InputError):  # a run of another version is another run
            if run.read_json("status")["status"] in status and same(run.experiment(), experiment):
                return run
    return None


def same(one: Experiment, other: Experiment) -> bool:
    """True where two runs must end with the same weights on one machine, if the lists name the same cases."""
    places = ("dataset_base_dir", "datalist_json_path")
    on_same_data = all(getattr(one.data, place) == getattr(other.data, place) for place in places)
    return on_same_data and deciding(one) == deciding(other)


def launch(name: str, arguments: Sequence[str], job: Path, artifacts: Path) -> None:
    """Run job.py to its end, as :func:`begin` starts it.

    Raises:
        InputError: it ended with exit code 2.
        RunFailed: it ended with another one but 0.
    """
    process = begin(name, arguments, job, artifacts)
    try:
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    expect_success(name, code, artifacts)


def begin(
    name: str, arguments: Sequence[str], job: Path, artifacts: Path, variables: Mapping[str, str] = os.environ
) -> "subprocess.Popen[bytes]":
    """Start job.py, its output in the file :func:`log_of`. SIGTERM ends it, and it cleans up.

    Args:
        variables: its whole environment.
    """
    with log_of(name, artifacts).open("w", encoding="utf-8") as file:
        return subprocess.Popen(
            [sys.executable, str(job), *arguments],
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=variables,
            start_new_session=True,  # so that Ctrl-C does not end it twice, by itself and by whoever started it
        )  # fmt: skip


def log_of(name: str, artifacts: Path) -> Path:
    """The file of job.py's output, beside the run folders."""
    return artifacts / f"{name}.log"


def expect_success(name: str, code: int, artifacts: Path) -> None:
    """Refuse the exit code of a job.py that :func:`begin` started, unless it is 0.

    Raises:
        InputError: it is 2.
        RunFailed: it is another one.
    """
    if code:
        output = log_of(name, artifacts)
        words = output.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["without a word"]
        text = f"{name} ended with exit code {code} ({words[-1]}); its output is in {output}."
        raise InputError(text) if code == 2 else RunFailed(text)
