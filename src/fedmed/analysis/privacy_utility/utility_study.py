"""The runs of a study, made by job.py where they are not there yet."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fedmed.analysis.privacy_utility.utility_plan import PlannedRun
from fedmed.core.cli import echo
from fedmed.core.errors import InputError, RunFailed
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder


def study(planned: Sequence[PlannedRun], job: Path, artifacts: Path, *, force: bool) -> list[RunFolder]:
    """The finished run of everything that is planned.

    Args:
        job: the script that makes a run.
        artifacts: the folder of run folders.
        force: make those again that are there.

    Raises:
        InputError: job.py refuses a run's options.
        RunFailed: a run failed; those before it stay.
    """
    return [made(each, job, artifacts, force=force) for each in planned]


def made(each: PlannedRun, job: Path, artifacts: Path, *, force: bool) -> RunFolder:
    """The finished run of one plan."""
    run = None if force else finished(artifacts, each.experiment)
    if run is not None:
        echo(f"{run.name} is there already", sys.stderr)
        return run
    began = time.monotonic()
    launch(each, job, artifacts)
    run = finished(artifacts, each.experiment)
    if run is None:
        raise RunFailed(f"job.py left no finished run {each.experiment.job_name} in {artifacts}.")
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
    """True where two runs must end with the same weights on one machine."""
    parts = ("task", "algorithm", "privacy", "training")
    on_same_data = one.data.dataset_base_dir == other.data.dataset_base_dir
    return on_same_data and all(getattr(one, part) == getattr(other, part) for part in parts)


def launch(each: PlannedRun, job: Path, artifacts: Path) -> None:
    """Run job.py to its end, its output in a file beside the run folders.

    Raises:
        InputError: it ended with exit code 2.
        RunFailed: it ended with another one but 0.
    """
    output = artifacts / f"{each.experiment.job_name}.log"
    command = [sys.executable, str(job), *each.arguments, "--artifacts", str(artifacts)]
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
        text = f"{each.experiment.job_name} ended with exit code {code} ({words[-1]}); its output is in {output}."
        raise InputError(text) if code == 2 else RunFailed(text)
