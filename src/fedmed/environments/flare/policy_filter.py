"""FLARE's filter of a site's own scope: only updates with a ledger entry within bounds leave, and no scores."""

import copy
from collections.abc import Mapping
from typing import Any

from nvflare.apis.dxo import DataKind, from_shareable
from nvflare.apis.filter import ContentBlockedException, Filter
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply

from fedmed.core.errors import InputError
from fedmed.core.names import PRIVACY
from fedmed.environments.flare.result_meta import known_meta, without_metrics
from fedmed.privacy.ledger import Entry


class PolicyFilter(Filter):
    """For a site's ``local/privacy.json``: lets updates leave only with a ledger entry within bounds, and no scores.

    It sees what a site's process answers, after the job's mechanism. It reads what the job's code says of itself; what
    it cannot see, such as whether the noise was added, it cannot check.
    """

    def __init__(self, max_epsilon: float, max_delta: float) -> None:
        super().__init__()
        self.max_epsilon = max_epsilon
        self.max_delta = max_delta

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        if shareable.get_return_code() != ReturnCode.OK:
            return make_reply(shareable.get_return_code())
        dxo = from_shareable(shareable)
        if dxo.data_kind == DataKind.METRICS:
            return without_metrics(dxo).update_shareable(copy.copy(shareable))
        fault = self._fault(dxo.get_meta_prop(PRIVACY))
        if fault:
            raise ContentBlockedException(f"This site's privacy policy lets nothing leave: {fault}.")
        entry = {**dxo.meta[PRIVACY], "diagnostics": None}
        dxo.meta = {**known_meta(dxo.meta, metrics=False), PRIVACY: entry}
        return dxo.update_shareable(copy.copy(shareable))

    def _fault(self, plain: Any) -> str | None:
        if not isinstance(plain, Mapping):
            return "the result comes without an entry for the privacy ledger"
        try:
            entry = Entry.from_plain(plain)
        except InputError as error:
            return str(error)
        if entry.epsilon_total is None or entry.delta is None:
            return "its mechanism states no epsilon"
        if entry.epsilon_total > self.max_epsilon or entry.delta > self.max_delta:
            return (
                f"epsilon {entry.epsilon_total:g} at delta {entry.delta:g} is above {self.max_epsilon:g} at "
                f"{self.max_delta:g}"
            )
        return None
