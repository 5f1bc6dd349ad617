"""What an environment is: where a job's server and sites run."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fedmed.core.plugin import Plugin

if TYPE_CHECKING:
    from fedmed.experiment import Experiment
    from fedmed.runs.run_folder import RunFolder

Watch = Callable[[dict[str, Any]], None]
"""Called with the server's record of each round as soon as it is written."""


class Environment(Plugin, ABC):
    """An environment's contract. Subclasses are frozen dataclasses whose fields are the environment's options."""

    DATA_HERE: ClassVar[bool] = True
    """Whether the sites' data lie on the machine that launches the run, which can audit them then."""

    @property
    def code_travels(self) -> bool:
        """Whether a job brings its code; else the same code is installed wherever it runs."""
        return True

    def check_here(self, experiment: "Experiment") -> None:
        """Refuse, before anything is made, what this machine lacks for the run; :meth:`check` is asked at sites too.

        Raises:
            InputError: something is missing or taken.
        """

    def sites_stay(self, experiment: "Experiment") -> bool:
        """Whether a site's process lives as long as the run, so that its silence means that it is lost."""
        return True

    @abstractmethod
    def statement(self, experiment: "Experiment") -> str:
        """One sentence for the summary: where and on what the sites run."""

    @abstractmethod
    def run(self, job: Path, experiment: "Experiment", folder: "RunFolder", watch: Watch) -> None:
        """Run a job to its end; models and events are in ``folder`` then, also when it failed.

        Args:
            job: the folder of an exported FLARE job.
            experiment: what the job runs.
            folder: the run folder; logs go there while the job runs.
            watch: told of every round.

        Raises:
            RunFailed: the job did not end well. No process of it is left.
        """
