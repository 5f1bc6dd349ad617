"""The rule for buffers: running statistics are averaged by cases, counters take their maximum. Pure functions."""

from collections.abc import Mapping, Sequence

import numpy as np

from fedmed.core.entries import Entries
from fedmed.core.weights import Update

VARIANCE = "running_var"
"""PyTorch's name for a layer's running variance, whose square root a network takes."""


def fault_of_variances(entries: Entries, current: Mapping[str, np.ndarray], update: Update) -> str | None:
    """The first running variance that a site's difference would lead below 0; None where there is none."""
    for name in entries.statistics:
        if name.endswith(VARIANCE) and (_values(current, update, name) < 0).any():
            return f"{name} would be below 0, and it is a variance"
    return None


def combined_buffers(
    entries: Entries, current: Mapping[str, np.ndarray], updates: Sequence[Update], cases: Sequence[float]
) -> dict[str, np.ndarray]:
    """The update of the global model's buffers from the differences that sites sent.

    Statistics are averaged as values, not as differences, in float64: a difference in float32 never leads below the
    value's own lower bound, so a mean of variances stays at least 0. Counters are whole numbers and stay exact.

    Args:
        current: the global model's buffers.
        updates: each site's differences.
        cases: each site's number of training cases, above 0.
    """
    found = {}
    for name in entries.statistics:
        values = np.stack([_values(current, update, name) for update in updates])
        mean = np.average(values, axis=0, weights=cases)
        found[name] = (mean - np.asarray(current[name], np.float64)).astype(np.asarray(current[name]).dtype)
    for name in entries.counters:
        kind = np.asarray(current[name]).dtype
        found[name] = np.max(np.stack([np.asarray(update[name], kind) for update in updates]), axis=0)
    return found


def _values(current: Mapping[str, np.ndarray], update: Update, name: str) -> np.ndarray:
    """A site's values of an entry, in float64."""
    return np.asarray(current[name], np.float64) + np.asarray(update[name], np.float64)
