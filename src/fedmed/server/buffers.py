"""The rule for buffers: running statistics are pooled by cases, counters take their maximum. Pure functions."""

from collections.abc import Mapping, Sequence

import numpy as np

from fedmed.core.entries import Entries
from fedmed.core.weights import Update

VARIANCE, MEAN = "running_var", "running_mean"
"""PyTorch's names for a layer's running variance, whose square root a network takes, and for its running mean."""


def fault_of_variances(entries: Entries, current: Mapping[str, np.ndarray], update: Update) -> str | None:
    """The first running variance that a site's difference would lead below 0; None where there is none."""
    for name in entries.statistics:
        if name.endswith(VARIANCE) and (_values(current, update, name) < 0).any():
            return f"{name} would be below 0, and it is a variance"
    return None


def combined_buffers(
    entries: Entries,
    current: Mapping[str, np.ndarray],
    updates: Sequence[Update],
    cases: Sequence[float],
    max_ratio: float = 0.0,
) -> dict[str, np.ndarray]:
    """The update of the global model's buffers from the differences that sites sent.

    Statistics are averaged as values, not as differences, in float64: a difference in float32 never leads below the
    value's own lower bound, so a mean of variances stays at least 0. A variance is that of all sites' cases together,
    the mean of the sites' variances and the variance of their means (law of total variance). Counters are whole
    numbers, stay exact and end at the limits of their type.

    Args:
        current: the global model's buffers.
        updates: each site's differences.
        cases: each site's number of training cases, above 0.
        max_ratio: a site's counters grow by at most so many times the median of all sites', the lower one of two; 0 is
            no limit.
    """
    found = {}
    for name in entries.statistics:
        mean = np.average(_of_sites(current, updates, name), axis=0, weights=cases)
        if (means := _mean_beside(name)) in entries.statistics:
            mean += _variance_between(_of_sites(current, updates, means), cases)
        kind = np.asarray(current[name]).dtype
        change, room = mean - np.asarray(current[name], np.float64), float(np.finfo(kind).max)
        found[name] = np.clip(change, -room, room).astype(kind)
    for name in entries.counters:
        before = np.asarray(current[name])
        grown = np.stack([np.asarray(update[name], before.dtype) for update in updates])
        found[name] = _within_type(before, np.max(_capped(grown, max_ratio), axis=0))
    return found


def _mean_beside(name: str) -> str:
    """The entry of the running mean beside a running variance; empty for any other entry."""
    return f"{name.removesuffix(VARIANCE)}{MEAN}" if name.endswith(VARIANCE) else ""


def _variance_between(means: np.ndarray, cases: Sequence[float]) -> np.ndarray:
    """The variance of the sites' means (sites, ...) over all cases."""
    found: np.ndarray = np.average((means - np.average(means, axis=0, weights=cases)) ** 2, axis=0, weights=cases)
    return found


def _of_sites(current: Mapping[str, np.ndarray], updates: Sequence[Update], name: str) -> np.ndarray:
    """The sites' values (sites, ...) of an entry, in float64."""
    return np.stack([_values(current, update, name) for update in updates])


def _capped(grown: np.ndarray, max_ratio: float) -> np.ndarray:
    """Counters' differences (sites, ...), whose size is at most ``max_ratio`` times the lower median of the sites'."""
    if not max_ratio:
        return grown
    size = np.abs(grown.astype(np.float64))
    limit = max_ratio * np.sort(size, axis=0)[(len(grown) - 1) // 2]
    with np.errstate(invalid="ignore"):  # a limit beyond the type is not used
        most = np.sign(grown) * np.broadcast_to(limit, grown.shape).astype(grown.dtype)
    return np.where(size > limit, most, grown)


def _within_type(before: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The change as far as the sum stays within the range of the counter's type."""
    if not np.issubdtype(before.dtype, np.integer):
        return change
    room = np.iinfo(before.dtype)
    upward = room.max - np.maximum(before, 0)
    downward = room.min - np.minimum(before, 0)
    return np.clip(change, downward, upward).astype(before.dtype)


def _values(current: Mapping[str, np.ndarray], update: Update, name: str) -> np.ndarray:
    """A site's values of an entry, in float64."""
    return np.asarray(current[name], np.float64) + np.asarray(update[name], np.float64)
