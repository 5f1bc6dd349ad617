"""The reasons for which a site's update or extras must not reach the global model. Pure functions over arrays."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fedmed.server.fair_weights import medians_of_others


class Form(NamedTuple):
    """The shape and the type of an array at the server, by which it is checked and in which all is computed."""

    shape: tuple[int, ...]
    kind: np.dtype[Any]


Forms = Mapping[str, Form]
"""The forms that are expected, by name."""


def forms_of(arrays: Mapping[str, Any]) -> dict[str, Form]:
    """The forms of arrays."""
    return {name: Form(np.shape(values), np.asarray(values).dtype) for name, values in arrays.items()}


def fault_of(arrays: Mapping[str, Any], forms: Forms) -> str | None:
    """The first reason against arrays that a site sent, None where there is none.

    They may be floats of another precision where floats are expected, and whole numbers of another size where whole
    ones are, as long as the expected type can hold them.

    Args:
        arrays: an update or extras, by name.
        forms: what is expected.
    """
    if set(arrays) != set(forms):
        missing = sorted(set(forms) - set(arrays))
        strange = sorted(f"{name!s:.40}" for name in set(arrays) - set(forms))
        return f"its parameters differ from the global model's (missing {missing[:3]}, unknown {strange[:3]})"
    return next((fault for name, form in forms.items() if (fault := _entry_fault(name, arrays[name], form))), None)


def _entry_fault(name: str, given: Any, form: Form) -> str | None:
    values = np.asarray(given)
    if values.shape != form.shape:
        return f"{name} has the shape {values.shape!s:.60}; the global model's is {form.shape}"
    kind, words = (np.floating, "floats") if np.issubdtype(form.kind, np.floating) else (np.integer, "whole numbers")
    if not np.issubdtype(values.dtype, kind):
        return f"{name} is of type {values.dtype!s:.40}; expected {words}"
    if kind is np.integer:
        return _fault_of_whole(name, values, form.kind)
    unusable = ~np.isfinite(in_type(values, form.kind))  # what overflows there is infinite there
    return f"{name} holds {int(unusable.sum())} values that are NaN or infinite" if unusable.any() else None


def _fault_of_whole(name: str, values: np.ndarray, kind: np.dtype[Any]) -> str | None:
    if not values.size or np.can_cast(values.dtype, kind):
        return None
    room = np.iinfo(kind) if np.issubdtype(kind, np.integer) else np.iinfo(np.int8)
    within = room.min <= int(values.min()) and int(values.max()) <= room.max
    return None if within else f"{name} holds values that {kind} cannot hold"


def in_type(values: Any, kind: np.dtype[Any]) -> np.ndarray:
    """The values in a type; what it cannot hold is infinite in it."""
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(kind, copy=False)


def fault_of_sums(model: Mapping[str, Any], update: Mapping[str, Any]) -> str | None:
    """The first entry of floats that an update would lead beyond the range of its type; None where there is none."""
    with np.errstate(over="ignore"):
        sums = ((name, np.asarray(model[name]) + given) for name, given in update.items())
        beyond = (name for name, values in sums if not np.isfinite(values).all())
        return next((f"{name} would hold values that are infinite" for name in beyond), None)


def oversized(norms: Mapping[str, float], steps: Mapping[str, float], ratio: float) -> dict[str, str]:
    """The sites whose update is more than ``ratio`` times the median of the other sites', and by how much.

    A site that took many more steps may well send a larger update, and one that adds noise of a fixed size a larger one
    for each step; so the update must be too large both as it is and divided by its steps. Where half of the other sites
    sent nothing but zeros there is nothing to compare with.

    Args:
        steps: as they count, so that a site cannot make room for an update by its word alone.
    """
    whole = medians_of_others(norms)
    each = medians_of_others({site: norm / steps[site] for site, norm in norms.items()})
    return {
        site: f"its norm, {norm:.3g}, is {norm / whole[site]:.0f} times the median of the other sites'"
        for site, norm in norms.items()
        if whole.get(site, 0) > 0 and norm > ratio * whole[site] and norm / steps[site] > ratio * each[site]
    }
