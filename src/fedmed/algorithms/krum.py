"""Krum: the update whose nearest others are nearest to it (Blanchard et al. 2017, NeurIPS)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fedmed.algorithms.averaging import weighted_mean
from fedmed.algorithms.robust import Combined, Tolerant, blocks_of
from fedmed.core.weights import Update


@dataclass(frozen=True)
class Krum(Tolerant):
    """The one update of the lowest score; of equal ones the first in the order of the sites' names, as in the paper."""

    MARGIN: ClassVar[int] = 3

    def rule(self, updates: Sequence[Update], weights: Sequence[float]) -> Combined:
        return mean_of_central(updates, self.byzantine, 1)


PLUGIN = Krum


def mean_of_central(updates: Sequence[Update], byzantine: int, chosen: int) -> Combined:
    """The uniform mean of so many updates of the lowest :func:`krum_scores`, and 1 or 0 for who is in it or not.

    Raises:
        ValueError: there are fewer than 2 byzantine + 3 updates.
    """
    ranked = np.argsort(krum_scores(squared_distances(updates), byzantine), kind="stable")
    central = np.sort(ranked[:chosen])
    mean = weighted_mean([updates[place] for place in central], [1.0] * len(central))
    return Combined(mean, [float(place in central) for place in range(len(updates))])


def krum_scores(distances: NDArray[np.float64], byzantine: int) -> NDArray[np.float64]:
    """Each update's sum of the squared distances to its n - byzantine - 2 nearest others, (n,).

    Args:
        distances: squared, (n, n).

    Raises:
        ValueError: n is below 2 byzantine + 3, of which the paper's theorem says nothing.
    """
    number = len(distances)
    if number < 2 * byzantine + 3:
        raise ValueError(f"Expected at least {2 * byzantine + 3} updates, got {number}.")
    others = np.sort(distances + np.diag(np.full(number, np.inf)), axis=1)
    scores: NDArray[np.float64] = others[:, : number - byzantine - 2].sum(axis=1)
    return scores


def squared_distances(updates: Sequence[Update]) -> NDArray[np.float64]:
    """The squared Euclidean distance of each pair of updates over all entries together, (n, n), in double precision."""
    found = np.zeros((len(updates), len(updates)))
    for block in blocks_of(updates):
        values = block.astype(np.float64)
        for place in range(len(updates) - 1):
            found[place, place + 1 :] += np.square(values[place + 1 :] - values[place]).sum(axis=1)
    return found + found.T
