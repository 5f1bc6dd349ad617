"""The rule for buffers: running statistics are averaged by cases, counters take their maximum. Pure functions."""

from collections.abc import Mapping, Sequence

import numpy as np

from fedmed.core.entries import Entries
from fedmed.core.weights import Update


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
        values = [np.asarray(current[name], np.float64) + np.asarray(update[name], np.float64) for update in updates]
        mean = np.average(np.stack(values), axis=0, weights=cases)
        found[name] = (mean - np.asarray(current[name], np.float64)).astype(np.asarray(current[name]).dtype)
    for name in entries.counters:
        found[name] = np.max(np.stack([np.asarray(update[name]) for update in updates]), axis=0)
    return found
