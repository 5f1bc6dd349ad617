"""Runs of a study, made by job.py where they are not there yet."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fedmed.core.cli import echo
from fedmed.core.errors import InputError, RunFailed
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder


def made(experiment: Experiment, arguments: Sequence[str], job: Path, artifacts: Path, *, force: bool) -> RunFolder:
    """The finished run of an experiment.

    Args:
        arguments: of job.py, which mean the experiment, without the place of run folders.
        job: the script that makes a run.
        artifacts: the folder of run folders.
        force: make it again where it is there.

    Raises:
        InputError: job.py refuses the arguments.
        RunFailed: the run failed.
    """
    run = None if force else finished(artifacts, experiment)
    if run is not None:
        echo(f"{run.name} is there already", sys.stderr)
        return run
    began = time.monotonic()
    launch(experiment.job_name, arguments, job, artifacts)
    run = finished(artifacts, experiment)
    if run is None:
        raise RunFailed(f"job.py left no finished run {experiment.job_name} in {artifacts}.")
    echo(f"{run.name} took {time.monotonic() - began:.0f} s", sys.stderr)
    return run


def finished(artifacts: Path, experiment: Experiment) -> RunFolder | None:
    """The last finished run of an experiment; options that change its speed alone make no other experiment."""
    for path in sorted(artifacts.glob(f"{experiment.job_name}-*/experiment.json"), reverse=True):
        run = RunFolder(path.parent)
        with contextlib.suppress(InputError):  # a run of another version is another run
            if run.read_json("status")["status"] == "finished" and same(run.experiment(), experiment):
                return run
    return None


def same(one: Experiment, other: Experiment) -> bool:
    """True where two runs must end with the same weights on one machine, if the lists name the same cases."""
    parts = ("task", "algorithm", "privacy", "training")
    places = ("dataset_base_dir", "datalist_json_path")
    on_same_data = all(getattr(one.data, place) == getattr(other.data, place) for place in places)
    return on_same_data and all(getattr(one, part) == getattr(other, part) for part in parts)


def launch(name: str, arguments: Sequence[str], job: Path, artifacts: Path) -> None:
    """Run job.py to its end, its output in the file ``<name>.log`` beside the run folders.

    Raises:
        InputError: it ended with exit code 2.
        RunFailed: it ended with another one but 0.
    """
    output = artifacts / f"{name}.log"
    command = [sys.executable, str(job), *arguments, "--artifacts", str(artifacts)]
    with output.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C ends it once, by the line below, and it can clean up
        )  # fmt: skip
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if code:
        words = output.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["without a word"]
        text = f"{name} ended with exit code {code} ({words[-1]}); its output is in {output}."
        raise InputError(text) if code == 2 else RunFailed(text)
