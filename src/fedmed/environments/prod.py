"""A federation that runs: the job is submitted with a user's startup kit. Nothing is started here, nothing stopped."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from fedmed.core.cli import echo
from fedmed.core.errors import InputError
from fedmed.core.options import option
from fedmed.core.plugin import ExperimentView
from fedmed.environments.base import Environment, RoundWatcher, refuse_attack, refuse_seeded_noise
from fedmed.environments.flare.startup_kit import UserKit, user_kit
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder


@dataclass(frozen=True)
class Prod(Environment):
    """The sites are other machines, each with data of its own."""

    DATA_IS_LOCAL: ClassVar[bool] = False

    startup_kit: Path | None = option(None, "startup kit of a user who may submit jobs, a lead or project_admin")
    username: str | None = option(None, "the user's name (default: that of the startup kit)")
    code: Literal["travels", "installed"] = option(
        "travels", "the job brings this code, or runs that of the same version which every site and the server have"
    )

    @property
    def code_travels(self) -> bool:
        return self.code == "travels"

    def check(self, experiment: ExperimentView) -> None:
        refuse_seeded_noise(experiment)
        refuse_attack(experiment)

    def check_machine(self, experiment: ExperimentView) -> None:
        from fedmed.environments.flare.admin_session import (
            admin_session,  # it takes a second to import, and sites import this module
        )

        with admin_session(self._kit()) as admin:
            expect_connected(experiment.training.sites, admin.sites(), experiment.faults.min_clients)

    def statement(self, experiment: ExperimentView) -> str:
        if self.startup_kit is None:
            return "a provisioned federation"
        kit = self._kit()
        code = "" if self.code_travels else ", by the code that is installed there"
        return f"the federation of {kit.host}:{kit.port}, submitted by {kit.username}{code}"

    def run(self, experiment: Experiment, folder: RunFolder, watcher: RoundWatcher) -> None:
        from fedmed.environments.flare.admin_session import admin_session
        from fedmed.environments.flare.job_folder import export_job
        from fedmed.environments.flare.job_monitor import run_job

        global_model = experiment.algorithm.has_global_model
        with tempfile.TemporaryDirectory(prefix="fedmed-job-") as staging, admin_session(self._kit()) as admin:
            job = export_job(experiment, Path(staging))
            run_job(admin, job, folder, watcher, global_model=global_model, lasting=True)

    def _kit(self) -> UserKit:
        if self.startup_kit is None:
            raise InputError("--env prod needs the startup kit of a user who may submit jobs; give --startup_kit DIR.")
        return user_kit(self.startup_kit, self.username)


def expect_connected(wanted: Sequence[str], connected: Sequence[str], needed: int | None = None) -> None:
    """Refuse a job for sites that are not there: the server would let it wait without a word.

    Args:
        needed: how many are enough; None is all.

    Raises:
        InputError: too few are.
    """
    missing = [site for site in wanted if site not in connected]
    there = len(wanted) - len(missing)
    if missing and needed is not None and there >= needed:
        echo(f"without {', '.join(missing)}: not connected; who comes later takes part from the next job on")
    elif missing:
        raise InputError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not connected to the server "
            f"(connected: {', '.join(connected) or 'none'}); start what is missing, or name others with --site_names."
        )


PLUGIN = Prod
