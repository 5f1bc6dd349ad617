"""The contract of an environment: the place where a job's server and sites run."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from fedmed.core.errors import InputError
from fedmed.core.plugin import ExperimentView, Plugin
from fedmed.environments.step_progress import Steps
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder


class RoundWatcher(Protocol):
    """The follower of a run that goes on."""

    def record(self, record: dict[str, Any]) -> None:
        """Take in the server's record of a round, as soon as it is written."""

    def progress(self, steps: Mapping[str, Steps]) -> None:
        """Take in the sites' steps of the round that goes on, as far as they are known here."""


class Environment(Plugin, ABC):
    """The contract. Subclasses are frozen dataclasses whose fields are the environment's options."""

    DATA_IS_LOCAL: ClassVar[bool] = True
    """True where the sites' data lie on the machine that launches the run, which can audit them then."""

    verbose = False  # True where the screen gets everything that files get

    @property
    def code_travels(self) -> bool:
        """True where a job brings its code; else the same code is installed wherever it runs."""
        return True

    def check_machine(self, experiment: ExperimentView) -> None:
        """Refuse, before anything is made, what this machine lacks for the run; :meth:`check` is asked at sites too.

        Raises:
            InputError: something is missing or taken.
        """

    def processes_persist(self, experiment: ExperimentView) -> bool:
        """True where a site's process lives as long as the run, so that its silence means that it is lost."""
        return True

    @abstractmethod
    def statement(self, experiment: ExperimentView) -> str:
        """One sentence for the summary: where and on what the sites run."""

    @abstractmethod
    def run(self, experiment: Experiment, folder: RunFolder, watcher: RoundWatcher) -> None:
        """Run an experiment to its end; models and events are in ``folder`` then, also when it failed.

        Args:
            folder: the run folder; logs go there while the job runs.

        Raises:
            RunFailed: the job did not end well. No process of it is left.
        """


def refuse_attack(experiment: ExperimentView) -> None:
    """Refuse, in a job for a federation's server, an attack by its own sites.

    Raises:
        InputError: the experiment has one.
    """
    if experiment.attack.is_on:
        raise InputError(
            f"--attack {experiment.attack.attack} is for study on one machine, and no federation's server forges "
            "updates; drop it, or take --env sim or --env pool."
        )


def refuse_seeded_noise(experiment: ExperimentView) -> None:
    """Refuse, in a job for a federation's server, noise that follows from the seed.

    Raises:
        InputError: the experiment has it.
    """
    if experiment.privacy.insecure_seeded_noise:
        raise InputError(
            "--insecure_seeded_noise makes noise that protects nothing, for tests in the simulator; "
            "drop it, or take --env sim."
        )
