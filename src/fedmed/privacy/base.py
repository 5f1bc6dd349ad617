"""What a privacy mechanism is: a list of filters on what a site sends, with a stated unit and guarantee."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from nvflare.apis.filter import Filter

from fedmed.plugin import Plugin


class Mechanism(Plugin, ABC):
    """A mechanism's contract. Subclasses are frozen dataclasses whose fields are the mechanism's options."""

    UNIT: ClassVar[Literal["none", "patient", "site's update"]]
    """Whose presence the mechanism hides."""

    GUARANTEE: ClassVar[Literal["none", "heuristic", "formal"]]
    """Whether a theorem stands behind it."""

    @abstractmethod
    def filters(self) -> list[Filter]:
        """FLARE filters for a site's training result, in the order in which they act."""

    @abstractmethod
    def statement(self) -> str:
        """One sentence for the summary: what this protects and what it does not."""
