"""Which global model is the best: FLARE's selector, with sites weighted by the values that they averaged."""

import math
from typing import Any

from nvflare.apis.dxo import DataKind, MetaKey, from_shareable
from nvflare.apis.fl_constant import FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.widgets.intime_model_selector import IntimeModelSelector

from fedmed.core.site_scores import weight_of


class WeightedSelector(IntimeModelSelector):
    """Differs from FLARE's selector in two points.

    A site's score counts as often as it has values (cases times regions that are not empty), and the answers to the
    final ``validate`` task are heard too, so that the last model is a candidate like the others. The untrained model of
    round 0 is none.
    """

    def _before_accept(self, fl_ctx: FLContext) -> bool:
        if fl_ctx.get_prop(AppConstants.CURRENT_ROUND) == 0:
            return False
        scores = _scores(fl_ctx)
        value, weight = _number(scores.get(self.key_metric)), _number(weight_of(scores, self.key_metric))
        if value is None or weight is None or weight <= 0:
            return False
        self.validation_metric_weighted_sum += (-value if self.negate_key_metric else value) * weight
        self.raw_validation_metric_weighted_sum += value * weight
        self.validation_metric_sum_of_weights += weight
        return True


def _scores(fl_ctx: FLContext) -> dict[str, Any]:
    """The metrics in a site's result, be it of training or of validation; empty for a failed one."""
    result = fl_ctx.get_peer_context().get_prop(FLContextKey.SHAREABLE)
    if result is None or result.get_return_code() != ReturnCode.OK:
        return {}
    try:
        dxo = from_shareable(result)
    except ValueError:
        return {}  # no data exchange object; whoever asked for this result deals with it
    scores = dxo.data if dxo.data_kind == DataKind.METRICS else dxo.get_meta_prop(MetaKey.INITIAL_METRICS)
    return scores or {}


def _number(value: Any) -> float | None:
    ok = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if ok else None
