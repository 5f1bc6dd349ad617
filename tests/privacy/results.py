"""A site's result as FLARE hands it to a filter."""

from typing import Any

from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_constant import FLContextKey, FLMetaKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.app_constant import AppConstants


def context(site: str = "site-1", job: str = "job") -> FLContext:
    """What FLARE gives a filter at a site."""
    fl_ctx = FLContext()
    fl_ctx.set_prop(ReservedKey.IDENTITY_NAME, site, private=False, sticky=False)
    fl_ctx.set_prop(FLContextKey.CURRENT_RUN, job, private=False, sticky=False)
    return fl_ctx


def result(update: Any, kind: str = DataKind.WEIGHT_DIFF, steps: Any = 1, number: int | None = 0) -> Shareable:
    """A training result of round ``number``, counted from 0 as FLARE does."""
    shareable = DXO(kind, data=update, meta={FLMetaKey.NUM_STEPS_CURRENT_ROUND: steps}).to_shareable()
    if number is not None:
        shareable.set_header(AppConstants.CURRENT_ROUND, number)
    return shareable
