"""The checks of a result before and after a mechanism: nothing that is not understood leaves a site."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from fedmed.core.errors import InputError
from fedmed.privacy.base import PrivateUpdate

FLOATS = (np.float16, np.float32, np.float64)

RUNNING = ("running_mean", "running_var")
"""PyTorch's names of running statistics, by which a site's own scope knows them without the job's word."""


class SplitUpdate(NamedTuple):
    """A result's differences: those that a mechanism acts on, and those that pass as they are and are booked."""

    trainable: PrivateUpdate
    passed: dict[str, np.ndarray]


def split_update(data: Any, statistics: Collection[str], *, formal: bool) -> SplitUpdate:
    """A result's differences by kind.

    Args:
        statistics: names of running statistics, which only a heuristic mechanism lets pass.
        formal: True for a mechanism whose guarantee must cover all that depends on patients.

    Raises:
        InputError: the result holds anything else, or values that are not finite.
    """
    if not isinstance(data, Mapping) or not data:
        raise InputError("The result holds no weight difference at all.")
    found = SplitUpdate({}, {})
    for name, given in data.items():
        passes = _passes(name, values := _array(name, given), statistics, formal)
        (found.passed if passes else found.trainable)[name] = values
    if not found.trainable:
        raise InputError("The result holds counters alone and no weight difference.")
    refuse_not_finite({**found.trainable, **found.passed})
    return found


def frozen_zeros(update: Any, frozen: Collection[str]) -> dict[str, np.ndarray]:
    """The differences of weights that did not train.

    Raises:
        InputError: one of them is not zero.
    """
    found = {name: _array(name, update[name]) for name in frozen if isinstance(update, Mapping) and name in update}
    for name, values in found.items():
        if np.any(values != 0):
            raise InputError(f"{name} has changed in a round in which it is frozen, and no noise would cover it.")
    return found


def _passes(name: str, values: np.ndarray, statistics: Collection[str], formal: bool) -> bool:
    """True for an entry that leaves as it is: a counter, or running statistics behind a heuristic mechanism."""
    if values.ndim == 0 and np.issubdtype(values.dtype, np.integer):
        return True
    if values.dtype not in FLOATS:
        raise InputError(
            f"{name} is of type {values.dtype} and shape {values.shape}; expected floats, or a single whole number."
        )
    running = name in statistics or name.endswith(RUNNING)
    if running and formal:
        raise InputError(f"{name} is computed from patients, and no noise covers it.")
    return running


def refuse_not_finite(update: Mapping[str, np.ndarray]) -> None:
    """Let nothing pass that holds NaN or an infinite value.

    Raises:
        InputError: an entry does; it is named.
    """
    for name, values in update.items():
        if not np.isfinite(values).all():
            raise InputError(f"The difference of {name} holds NaN or infinite values.")


def refuse_other_form(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> None:
    """Let a mechanism's answer pass only if it has its input's names, shapes and types, and is finite.

    Raises:
        InputError: it has not.
    """
    for name in sorted(set(before) | set(after)):
        if name not in after or name not in before:
            raise InputError(f"{name} is not on both sides of the privacy mechanism.")
        one, other = before[name], np.asarray(after[name])
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            raise InputError(f"The mechanism made {other.dtype}{other.shape} of {name}.")
    refuse_not_finite(after)


def _array(name: str, given: Any) -> np.ndarray:
    try:
        return np.asarray(given)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is no array ({error}); only arrays may leave.") from error
