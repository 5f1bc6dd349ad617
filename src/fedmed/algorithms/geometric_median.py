"""Geometric median: the update of the least weighted sum of distances to the sites' (Pillutla et al. 2022, 1912.13445).

Found by the smoothed Weiszfeld algorithm: a weighted mean, whose weights are divided by the distances to it, again and
again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fedmed.algorithms.averaging import weighted_mean
from fedmed.algorithms.robust import Combined, Tolerant, blocks_of
from fedmed.core.weights import Update, l2_norm

SMOOTHING = 1e-6
"""Distances count as at least this share of the updates' median norm, which more than half of the sites decide."""

TOLERANCE, MOST_STEPS = 1e-6, 200
"""It ends where no distance changes by a larger share in a step, or after so many steps: the sum of distances is within
about 1e-4 of its least then, where the median is one of the updates, and far nearer elsewhere."""


@dataclass(frozen=True)
class GeometricMedian(Tolerant):
    """Sites count by their sizes. Harmful ones must hold less than half of all weight, not only be less than half."""

    WEIGHTED: ClassVar[bool] = True

    def rule(self, updates: Sequence[Update], weights: Sequence[float]) -> Combined:
        full = np.asarray(weights, np.float64) / np.sum(weights)
        found = weiszfeld_weights(updates, full)
        return Combined(weighted_mean(updates, found.tolist()), np.minimum(found / full, 1).tolist())


PLUGIN = GeometricMedian


def weiszfeld_weights(updates: Sequence[Update], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights (n,), above 0 and of sum 1, of the updates in the mean that is their geometric median.

    Args:
        weights: of the sites, (n,), above 0 and of sum 1.
    """
    least = SMOOTHING * float(np.median([l2_norm(update) for update in updates])) or 1e-30
    blocks = blocks_of(updates)
    found, before = weights, np.full(len(updates), np.inf)
    for _ in range(MOST_STEPS):
        distances = np.maximum(_distances_to_mean(blocks, found), least)
        found = weights / distances
        found /= found.sum()
        if (np.abs(distances - before) <= TOLERANCE * distances).all():
            break
        before = distances
    return found


def _distances_to_mean(blocks: Sequence[np.ndarray], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distance of each of n updates, in blocks (n, size), to their weighted mean, (n,)."""
    squares = np.zeros(len(weights))
    for block in blocks:
        squares += np.square(block - weights @ block).sum(axis=1)
    return np.sqrt(squares)
