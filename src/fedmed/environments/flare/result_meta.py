"""The part of a FLARE result that lies beside its update, cut down to what may leave a site."""

from collections.abc import Mapping
from typing import Any

from nvflare.apis.dxo import DXO, DataKind, MetaKey
from nvflare.apis.fl_constant import FLMetaKey

from fedmed.core.names import PRIVACY, TRAINING_CASES, UNSHARED, WITHHELD
from fedmed.core.site_scores import CASES
from fedmed.data.audit.duplicates_exchange import QUESTION


def without_metrics(dxo: DXO) -> DXO:
    """A result of scores, or an answer about images, with nothing in it."""
    given = dxo.meta or {}
    meta: dict[str, Any] = {QUESTION: {}} if QUESTION in given else {}
    meta |= {WITHHELD: True} if given.get(WITHHELD) is True else {}
    meta |= {UNSHARED: given[UNSHARED]} if isinstance(given.get(UNSHARED), str) else {}  # of what the server sent
    return DXO(DataKind.METRICS, data={CASES: 0}, meta=meta)


def known_meta(meta: Mapping[str, Any], *, metrics: bool) -> dict[str, Any]:
    """The optimiser steps and the ledger's entry, and scores and counts where they may leave."""
    names = [FLMetaKey.NUM_STEPS_CURRENT_ROUND, PRIVACY]
    names += [MetaKey.INITIAL_METRICS, TRAINING_CASES] if metrics else []
    return {name: meta[name] for name in names if name in meta}
