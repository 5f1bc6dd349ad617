"""The common base of the four kinds of choices, and the view of an experiment that a choice gets."""

from typing import Any, Protocol

from fedmed.core.attack import Attack
from fedmed.core.settings import Data, Faults, Performance, Training


class ExperimentView(Protocol):
    """The parts of an experiment that its four choices read."""

    @property
    def task(self) -> Any: ...
    @property
    def algorithm(self) -> Any: ...
    @property
    def privacy(self) -> Any: ...
    @property
    def environment(self) -> Any: ...
    @property
    def training(self) -> Training: ...
    @property
    def performance(self) -> Performance: ...
    @property
    def data(self) -> Data: ...
    @property
    def faults(self) -> Faults: ...
    @property
    def attack(self) -> Attack: ...
    @property
    def run_id(self) -> str | None: ...
    @property
    def job_name(self) -> str: ...


class Plugin:
    """A choice: a frozen dataclass whose fields are its options, in the file that bears its name."""

    @property
    def name(self) -> str:
        """The file's name, which is the value of the command-line option."""
        return type(self).__module__.rpartition(".")[2]

    def check(self, experiment: ExperimentView) -> None:
        """Refuse, in one sentence with the remedy, an experiment that this choice cannot be part of.

        Raises:
            InputError: it cannot.
        """
