"""The weighted mean of sites' updates. Pure functions over arrays."""

from collections.abc import Sequence

import numpy as np

from fedmed.core.settings import AggregationWeights
from fedmed.core.weights import Update


def site_weights(by: AggregationWeights, steps: Sequence[float], cases: Sequence[float]) -> list[float]:
    """The sites' weights, in their order, by what ``--aggregation_weights`` names.

    Args:
        by: not ``auto``, which an algorithm has to resolve.
    """
    known = {"steps": steps, "cases": cases, "sqrt_cases": np.sqrt(cases), "uniform": np.ones(len(steps))}
    return [float(weight) for weight in known[by]]


def weighted_mean(updates: Sequence[Update], weights: Sequence[float]) -> dict[str, np.ndarray]:
    """sum(w_i u_i) / sum(w_i), added up in the order given (McMahan et al. 2017, algorithm 1).

    The sum runs in double precision and the mean has the updates' own floating-point type.

    Raises:
        ValueError: there is no update, a weight is not above 0, or an entry is not floating-point, whose mean would be
            truncated.
    """
    if not updates or not all(weight > 0 for weight in weights):
        raise ValueError(f"Expected updates with weights above 0, got {len(updates)} with weights {list(weights)}.")
    total = float(sum(weights))
    mean = {}
    for name, first in updates[0].items():
        kind = np.asarray(first).dtype
        if not np.issubdtype(kind, np.floating):
            raise ValueError(f"{name} is of type {kind}; expected a floating-point type, a mean of which is exact.")
        summed = np.zeros(np.shape(first), np.float64)
        for update, weight in zip(updates, weights, strict=True):
            summed += np.asarray(update[name], np.float64) * (weight / total)
        mean[name] = summed.astype(kind)
    return mean
