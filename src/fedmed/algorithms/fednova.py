"""Normalised averaging, in which a site's weight does not grow with its steps as well as its cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedmed.algorithms.averaging import weighted_mean
from fedmed.algorithms.base import Algorithm, Contribution, ServerSetup, ServerSide
from fedmed.core.settings import AggregationWeights
from fedmed.core.weights import Update

MOST_SCALED = 10
"""A site's steps count as at least the median divided by this: who understates them gains no more."""


class FedNovaServer(ServerSide):
    """Averages the sites' updates a step, by cases, and takes as many steps as the sites took in the mean."""

    WEIGHTS: ClassVar[AggregationWeights] = "cases"

    def combine(self, contributions: Sequence[Contribution]) -> Update:
        return normalized_mean(
            [each.update for each in contributions],
            at_least_usual([each.steps for each in contributions]),
            self.weights(contributions),
        )


@dataclass(frozen=True)
class FedNova(Algorithm):
    """FedNova (Wang et al. 2020, arXiv 2007.07481) with local optimisers as they are.

    Where every site trains for an epoch, one with ten times the cases takes ten times the steps and so goes about ten
    times as far; FedAvg weights its update ten times as well, so that it counts a hundredfold. Here it counts tenfold.
    """

    def server(self, setup: ServerSetup) -> ServerSide:
        return FedNovaServer(setup)


PLUGIN = FedNova


def at_least_usual(steps: Sequence[float]) -> list[float]:
    """The sites' steps, none below a :data:`MOST_SCALED`-th of their median."""
    least = float(np.median(steps)) / MOST_SCALED
    return [max(each, least) for each in steps]


def normalized_mean(
    updates: Sequence[Update], steps: Sequence[float], weights: Sequence[float]
) -> dict[str, np.ndarray]:
    """(sum of p_i t_i) times the sum of p_i u_i / t_i, where p_i are the shares of the weights and t_i the steps.

    Equation 6 of Wang et al. 2020 with the effective steps of section 4.1, t_i for the norm of a_i as for plain SGD.

    Raises:
        ValueError: as :func:`weighted_mean`.
    """
    shares = np.asarray(weights, np.float64) / np.sum(weights)
    a_step = shares / np.asarray(steps, np.float64)
    far = float(np.dot(shares, steps) * a_step.sum())
    mean = weighted_mean(updates, a_step.tolist())
    return {name: (values.astype(np.float64) * far).astype(values.dtype) for name, values in mean.items()}
