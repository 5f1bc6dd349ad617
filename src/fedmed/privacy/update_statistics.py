"""The arithmetic of private updates. Pure functions over arrays; nothing given to them is changed."""

import math
from collections.abc import Mapping

import numpy as np

from fedmed.core.weights import l2_norm
from fedmed.privacy.base import PrivateUpdate


def clipped(update: Mapping[str, np.ndarray], clip: float) -> PrivateUpdate:
    """The update in double precision, scaled down as a whole so that its norm is at most ``clip``."""
    norm = l2_norm(update)
    factor = min(1.0, clip / norm * (1 - 1e-12)) if norm > clip else 1.0  # rounding must not exceed the bound
    return {name: np.array(values, np.float64) * factor for name, values in update.items()}


def cosine(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> float:
    """The cosine of the angle between two updates; NaN where one is zero."""
    dot = sum(float((np.asarray(one[n], np.float64) * np.asarray(other[n], np.float64)).sum()) for n in one)
    norms = l2_norm(one) * l2_norm(other)
    return dot / norms if norms else math.nan


def signal_to_noise(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> float:
    """The norm of an update over the norm of what a mechanism made different in it; infinite where that is nothing."""
    change = l2_norm({name: np.asarray(after[name], np.float64) - before[name] for name in before})
    return l2_norm(before) / change if change else math.inf


def share_of_values(update: Mapping[str, np.ndarray], above: float = 0.0) -> float:
    """The share of all values whose size is above a bound."""
    counts = [(int((np.abs(values) > above).sum()), values.size) for values in update.values()]
    return sum(count for count, _ in counts) / sum(size for _, size in counts)
