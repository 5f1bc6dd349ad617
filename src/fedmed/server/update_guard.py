"""The reasons for which a site's update or extras must not reach the global model. Pure functions over arrays."""

import statistics
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

Shapes = Mapping[str, tuple[int, ...]]


def fault_of(arrays: Mapping[str, Any], shapes: Shapes) -> str | None:
    """The first reason against arrays that a site sent, None where there is none.

    Args:
        arrays: an update or extras, by name.
        shapes: the shapes that are expected, by name.
    """
    if set(arrays) != set(shapes):
        missing, strange = sorted(set(shapes) - set(arrays)), sorted(map(str, set(arrays) - set(shapes)))
        return f"its parameters differ from the global model's (missing {missing[:3]}, unknown {strange[:3]})"
    return next((fault for name, shape in shapes.items() if (fault := _entry_fault(name, arrays[name], shape))), None)


def _entry_fault(name: str, given: Any, shape: tuple[int, ...]) -> str | None:
    values = np.asarray(given)
    if values.shape != shape:
        return f"{name} has the shape {values.shape}; the global model's is {shape}"
    if not (np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)):
        return f"{name} is of type {values.dtype}; expected numbers"
    with np.errstate(over="ignore"):  # what overflows in the model's own precision is infinite there
        unusable = ~np.isfinite(values.astype(np.float32))
    return f"{name} holds {int(unusable.sum())} values that are NaN or infinite" if unusable.any() else None


def fault_of_sums(model: Mapping[str, Any], update: Mapping[str, Any]) -> str | None:
    """The first entry of the model that an update would lead beyond the range of its type; None where there is none."""
    with np.errstate(over="ignore"):
        sums = ((name, np.asarray(model[name]) + np.asarray(given)) for name, given in update.items())
        beyond = (name for name, values in sums if not np.isfinite(values.astype(np.asarray(model[name]).dtype)).all())
        return next((f"{name} would hold values that are infinite" for name in beyond), None)


def fault_of_kind(update: Mapping[str, Any], counters: Collection[str]) -> str | None:
    """The first entry that is no float where a mean is taken, or no whole number where a counter is; else None."""
    for name, given in update.items():
        kind, whole = np.asarray(given).dtype, name in counters
        if not np.issubdtype(kind, np.integer if whole else np.floating):
            return f"{name} is of type {kind}; expected {'whole numbers' if whole else 'floats'}"
    return None


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
