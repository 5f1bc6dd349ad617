"""No privacy mechanism: updates leave the sites as they are."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from fedmed.privacy.base import Mechanism


@dataclass(frozen=True)
class NoPrivacy(Mechanism):
    """Nothing is filtered."""

    UNIT: ClassVar[Literal["none"]] = "none"
    GUARANTEE: ClassVar[Literal["none"]] = "none"

    def statement(self) -> str:
        return "none: every site's weight differences leave it unprotected"


PLUGIN = NoPrivacy
