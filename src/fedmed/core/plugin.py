"""What the four kinds of choices have in common."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedmed.experiment import Experiment


class Plugin:
    """A choice: a frozen dataclass whose fields are its options, in the file that bears its name."""

    @property
    def name(self) -> str:
        """The file's name, which is the value of the command-line option."""
        return type(self).__module__.rpartition(".")[2]

    def check(self, experiment: "Experiment") -> None:
        """Refuse, in one sentence with the remedy, an experiment that this choice cannot be part of.

        Raises:
            InputError: it cannot.
        """
