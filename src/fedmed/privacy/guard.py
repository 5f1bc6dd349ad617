"""The last look at what a site sends: what is not understood does not leave."""

import numpy as np
from nvflare.apis.dxo import DataKind, from_shareable
from nvflare.apis.filter import ContentBlockedException, Filter
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable


class FiniteDifferenceGuard(Filter):
    """Lets only finite weight differences through.

    It stands before FLARE's SVTPrivacy, which searches for ever in an update full of NaN, and clips weights as
    though they were differences. What it refuses is named to the server as a failed result of this site.
    """

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        if shareable.get_return_code() != ReturnCode.OK:
            return shareable
        dxo = from_shareable(shareable)
        if dxo.data_kind != DataKind.WEIGHT_DIFF:
            raise ContentBlockedException(f"The result is of kind {dxo.data_kind}; only weight differences may leave.")
        if not dxo.data:
            raise ContentBlockedException("The result holds no weight difference at all.")
        for name, values in dxo.data.items():
            if not np.isfinite(np.asarray(values)).all():
                raise ContentBlockedException(f"The difference of {name} holds NaN or infinite values.")
        return shareable
