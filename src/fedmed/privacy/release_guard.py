"""What is not understood does not leave a site: the look at a result before and after a mechanism."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from nvflare.apis.dxo import DXO, DataKind, MetaKey
from nvflare.apis.filter import ContentBlockedException
from nvflare.apis.fl_constant import FLMetaKey

from fedmed.core.site_scores import CASES
from fedmed.data.audit.duplicates_exchange import QUESTION
from fedmed.privacy.base import Update
from fedmed.privacy.ledger import PRIVACY

FLOATS = (np.float16, np.float32, np.float64)


def understood(dxo: DXO) -> tuple[Update, dict[str, np.ndarray]]:
    """A result's weight differences, and its integer counters, which pass as they are and are named in the ledger.

    Raises:
        ContentBlockedException: the result is anything else, or not finite.
    """
    if dxo.data_kind != DataKind.WEIGHT_DIFF:
        raise ContentBlockedException(f"The result is of kind {dxo.data_kind}; only weight differences may leave.")
    if not isinstance(dxo.data, Mapping) or not dxo.data:
        raise ContentBlockedException("The result holds no weight difference at all.")
    update, counters = {}, {}
    for name, given in dxo.data.items():
        values = _array(name, given)
        if values.ndim == 0 and np.issubdtype(values.dtype, np.integer):
            counters[name] = values
        elif values.dtype in FLOATS:
            update[name] = values
        else:
            raise ContentBlockedException(
                f"{name} is of type {values.dtype} and shape {values.shape}; expected floats, or a single whole number."
            )
    if not update:
        raise ContentBlockedException("The result holds counters alone and no weight difference.")
    refuse_not_finite(update)
    return update, counters


def without_metrics(dxo: DXO) -> DXO:
    """A result of scores, or an answer about images, with nothing in it."""
    meta: dict[str, Any] = {QUESTION: {}} if QUESTION in (dxo.meta or {}) else {}
    return DXO(DataKind.METRICS, data={CASES: 0}, meta=meta)


def known_meta(meta: Mapping[str, Any], *, metrics: bool) -> dict[str, Any]:
    """Of what lies beside an update, the optimiser steps, the ledger's entry, and scores where they may leave."""
    names = [FLMetaKey.NUM_STEPS_CURRENT_ROUND, PRIVACY, *([MetaKey.INITIAL_METRICS] if metrics else [])]
    return {name: meta[name] for name in names if name in meta}


def refuse_not_finite(update: Mapping[str, np.ndarray]) -> None:
    """Let nothing pass that holds NaN or an infinite value.

    Raises:
        ContentBlockedException: a parameter does; it is named.
    """
    for name, values in update.items():
        if not np.isfinite(values).all():
            raise ContentBlockedException(f"The difference of {name} holds NaN or infinite values.")


def refuse_other_form(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> None:
    """Let a mechanism's answer pass only if it has its input's names, shapes and types, and is finite.

    Raises:
        ContentBlockedException: it has not.
    """
    for name in sorted(set(before) | set(after)):
        if name not in after or name not in before:
            raise ContentBlockedException(f"{name} is not on both sides of the privacy mechanism.")
        one, other = before[name], np.asarray(after[name])
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            raise ContentBlockedException(f"The mechanism made {other.dtype}{other.shape} of {name}.")
    refuse_not_finite(after)


def _array(name: str, given: Any) -> np.ndarray:
    try:
        return np.asarray(given)
    except (TypeError, ValueError) as error:
        raise ContentBlockedException(f"{name} is no array ({error}); only arrays may leave.") from error
