"""Multi-Krum: the mean of all updates but the F that Krum scores worst (Blanchard et al. 2017, NeurIPS)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from fedmed.algorithms.krum import mean_of_central
from fedmed.algorithms.robust import Combined, Tolerant
from fedmed.core.weights import Update


@dataclass(frozen=True)
class MultiKrum(Tolerant):
    """The paper leaves the number of chosen updates open; it is n - F here, so that honest work is not thrown away."""

    MARGIN: ClassVar[int] = 3

    def rule(self, updates: Sequence[Update], weights: Sequence[float]) -> Combined:
        return mean_of_central(updates, self.byzantine, len(updates) - self.byzantine)


PLUGIN = MultiKrum
