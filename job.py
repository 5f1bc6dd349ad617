"""The way in: command line -> experiment -> checks -> environment -> run folder. Without arguments a demonstration."""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

COMMAND = list(sys.argv)
"""The command line, which the run folder records."""

if __name__ == "__main__":  # FLARE, when it is imported, takes --export out of the command line as an option of its own
    del sys.argv[1:]

from fedmed.core.cli import echo, run_script
from fedmed.environments.worker_pool import fork_server


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for: a run, an unfinished run, a job's folder, or a site's check.

    Raises:
        InputError: a mistake in what was given.
        RunFailed: the run did not end well.
    """
    fork_server.begin(arguments)
    from fedmed.command_line import read_command

    experiment, command = read_command(arguments, echo)
    if command.check_site is not None:
        from fedmed.site import readiness

        return readiness.report(readiness.checks(experiment, command.check_site), echo)
    if command.export is not None:
        from fedmed.environments.flare.job_folder import export_for_console

        export_for_console(experiment, command.export, force=command.force)
        return 0
    from fedmed.runs.run_folder import RunFolder
    from fedmed.runs.single_run import check_and_run

    begun = RunFolder.open(command.resume.absolute()) if command.resume else None
    folder = check_and_run(experiment, begun, COMMAND)
    if (experiment.task.classes or experiment.task.findings) and experiment.environment.DATA_IS_LOCAL:
        from fedmed.analysis.evaluation.tested_run import score_ended_run

        score_ended_run(folder)
    return 0


if __name__ == "__main__":
    sys.exit(run_script(main, COMMAND[1:], stopped="no process of the run is left"))
