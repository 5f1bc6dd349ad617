"""The arithmetic of updates: what makes one unusable, and how several become one. Pure functions over arrays."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Update = Mapping[str, np.ndarray]
"""Weight differences by parameter name."""


def fault_of(update: Update, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Why an update must not reach the global model, or None when nothing speaks against it.

    Args:
        update: a site's weight differences.
        shapes: the global model's parameters.
    """
    if set(update) != set(shapes):
        missing, strange = sorted(set(shapes) - set(update)), sorted(set(update) - set(shapes))
        return f"its parameters differ from the global model's (missing {missing[:3]}, unknown {strange[:3]})"
    for name, shape in shapes.items():
        values = np.asarray(update[name])
        if values.shape != shape:
            return f"{name} has the shape {values.shape}; the global model's is {shape}"
        if not np.issubdtype(values.dtype, np.number):
            return f"{name} is of type {values.dtype}; expected numbers"
        with np.errstate(over="ignore"):  # what overflows in the model's own precision is infinite there
            unusable = ~np.isfinite(values.astype(np.float32))
        if unusable.any():
            return f"{name} holds {int(unusable.sum())} values that are NaN or infinite"
    return None


def norm_of(update: Update) -> float:
    """The Euclidean norm over all parameters, in double precision."""
    return float(np.sqrt(sum(np.square(np.asarray(values, np.float64)).sum() for values in update.values())))


def oversized(norms: Mapping[str, float], steps: Mapping[str, float], ratio: float) -> dict[str, str]:
    """The sites whose update is more than ``ratio`` times the median of the other sites', and by how much.

    A site that took many more steps may well send a larger update, and one that adds noise of a fixed size a larger one
    for each step; so the update must be too large both as it is and divided by its steps. Where half of the other sites
    sent nothing but zeros there is nothing to compare with.
    """
    found = {}
    for site, norm in norms.items():
        others = [other for other in norms if other != site]
        if not others:
            continue
        whole = statistics.median(norms[other] for other in others)
        each = statistics.median(norms[other] / steps[other] for other in others)
        if whole > 0 and norm > ratio * whole and norm / steps[site] > ratio * each:
            found[site] = f"its norm, {norm:.3g}, is {norm / whole:.0f} times the median of the other sites'"
    return found


def payload(params: Mapping[str, Any] | None) -> int:
    """Bytes of the arrays of a message, 0 where it has none."""
    return sum(np.asarray(values).nbytes for values in (params or {}).values())


def weighted_mean(updates: Sequence[Update], weights: Sequence[float]) -> dict[str, np.ndarray]:
    """sum(w_i u_i) / sum(w_i), added up in the order given (McMahan et al. 2017, algorithm 1).

    The sum runs in double precision and the answer has the updates' own type.

    Raises:
        ValueError: there is no update, or a weight is not above 0.
    """
    if not updates or not all(weight > 0 for weight in weights):
        raise ValueError(f"Expected updates with weights above 0, got {len(updates)} with weights {list(weights)}.")
    total = float(sum(weights))
    mean = {}
    for name, first in updates[0].items():
        summed = np.zeros(np.shape(first), np.float64)
        for update, weight in zip(updates, weights, strict=True):
            summed += np.asarray(update[name], np.float64) * (weight / total)
        mean[name] = summed.astype(np.asarray(first).dtype)
    return mean
