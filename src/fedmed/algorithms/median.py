"""Median: in each coordinate the middle one of the sites' values (Yin et al. 2018, arXiv 1803.01498)."""

from collections.abc import Sequence
from dataclasses import dataclass

from fedmed.algorithms.robust import Combined, Tolerant
from fedmed.algorithms.trimmed_mean import middle_mean
from fedmed.core.weights import Update


@dataclass(frozen=True)
class Median(Tolerant):
    """The trimmed mean that leaves out all but the middle value, or of an even number the middle two."""

    def rule(self, updates: Sequence[Update], weights: Sequence[float]) -> Combined:
        return middle_mean(updates, (len(updates) - 1) // 2)


PLUGIN = Median
