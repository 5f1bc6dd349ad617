"""One run from start to end: its folder, its environment, its result."""

import contextlib
import shlex
import time
from collections.abc import Sequence

from fedmed.core import locks, machine
from fedmed.core.cli import echo
from fedmed.core.errors import InputError, RunFailed, in_words
from fedmed.core.names import AUDIT
from fedmed.experiment import Experiment, new_run_id
from fedmed.runs import console
from fedmed.runs.model_record import META, network_facts
from fedmed.runs.preflight import Preflight, artifacts_of, checked, splits_of
from fedmed.runs.resuming import BEGAN_WITH, deciding, refuse_finished
from fedmed.runs.run_folder import RunFolder
from fedmed.runs.run_monitor import RunMonitor
from fedmed.runs.run_result import finish, title_of_data
from fedmed.server.round_record import completes_a_round


def check_and_run(experiment: Experiment, begun: RunFolder | None = None, command: Sequence[str] = ()) -> RunFolder:
    """Run an experiment if nothing speaks against it, and leave a complete run folder, which is returned.

    Args:
        begun: the folder of the unfinished run with which to go on; None begins a new one.
        command: the command line, for the record.

    Raises:
        InputError: something speaks against it, and nothing was started; or the run of ``begun`` goes on elsewhere.
        RunFailed: the run did not end well; its folder says ``failed`` and keeps what there was.
    """
    if not experiment.environment.DATA_IS_LOCAL and not begun:
        experiment = experiment.named(new_run_id())
    if begun:
        with locks.held(begun.path):  # so that nobody writes to the files that are checked
            refuse_finished(begun)
            _run(checked(experiment, begun), begun, command)
        return begun
    found = checked(experiment, None)
    folder = RunFolder.create(artifacts_of(experiment), experiment.job_name)
    with locks.held(folder.path):
        _run(found, folder, command)
    return folder


def _run(found: Preflight, folder: RunFolder, command: Sequence[str]) -> None:
    folder.set_log_aside()
    monitor = RunMonitor(folder, found.experiment)
    started = time.monotonic()
    try:
        _describe(folder, found, command)
        screen = console.settings(found.experiment, found.summaries, title_of_data(found.experiment), found.pretrained)
        echo(f"run        {folder.path}\n{screen}\n")
        found.experiment.environment.run(found.experiment, folder, monitor)
        finish(monitor, time.monotonic() - started)
    except BaseException as error:
        with contextlib.suppress(OSError, InputError):  # a full disk must not hide why
            folder.write_status("failed", _reason(error), found.experiment.attack.statement())
            if monitor.records:  # else what an earlier part of the run has left stays
                monitor.book_unfinished()
                folder.write_history()
        echo(f"\nThe run failed; what there is of it is in {folder.path}")
        aim = "go on after its last completed round" if _has_a_round(folder) else "begin anew in it, as no round counts"
        echo(f"To {aim}: python job.py --resume {shlex.quote(str(folder.path))}")
        if isinstance(error, InputError | OSError):
            raise RunFailed(_reason(error)) from error
        raise


def _has_a_round(folder: RunFolder) -> bool:
    """True where a round is completed, also before this part of the run."""
    try:
        return any(map(completes_a_round, folder.records()))
    except InputError:
        return True


def _reason(error: BaseException) -> str:
    return "stopped by the user" if isinstance(error, KeyboardInterrupt) else in_words(error) or type(error).__name__


def _describe(folder: RunFolder, found: Preflight, command: Sequence[str]) -> None:
    """Write down the experiment, its data, its model and the machine."""
    experiment = found.experiment
    folder.write_status("running", attack=experiment.attack.statement())
    folder.write_experiment(experiment)
    earlier = [folder.read_json("environment")] if (folder.path / "environment.json").is_file() else []
    here = {**machine.describe(command), BEGAN_WITH: deciding(experiment)}
    folder.write_json("environment", {**here, **({"earlier": earlier} if earlier else {})})
    folder.write_json("dataset_stats", found.summaries)
    if found.datalists:  # else they are known to the sites alone
        folder.write_json("dataset_splits", splits_of(found.datalists))
        folder.write_text(AUDIT, found.tables)
    folder.write_json("label_map", experiment.task.label_map())
    folder.write_json(META, network_facts(experiment, title_of_data(experiment), found.pretrained))
