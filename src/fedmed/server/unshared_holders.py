"""The sites that are known to hold the part of the model that no round sends."""

from collections.abc import Sequence
from typing import Any

LACKS_PART = "it does not hold the part of the model that rounds do not send; its own log says why"


class UnsharedHolders:
    """The sites that hold the part, by their own answers, and those that it must be sent to.

    Args:
        digest: of the part; empty where the model is shared whole, so that everybody holds it.
    """

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self._holders = set[str]()
        self._given = set[str]()  # since the last question that needs the part

    def take(self, site: str, held: Any) -> None:
        """Note the digest that a site states to hold; None is no statement."""
        if held is not None:
            (self._holders.add if str(held) == self.digest else self._holders.discard)(site)

    def to_be_given(self, sites: Sequence[str]) -> list[str]:
        """Those of the sites that the part must be sent to before the next question, each once between two others."""
        found = [site for site in sites if self.digest and site not in self._holders | self._given]
        self._given = self._given | set(found) if found else set()
        return found

    def without(self, sites: Sequence[str]) -> dict[str, str]:
        """Those of the sites that do not hold the part, with the words for it."""
        return dict.fromkeys(set(sites) - self._holders if self.digest else (), LACKS_PART)
