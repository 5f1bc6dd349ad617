"""FLARE's filter round a privacy mechanism on updates, for a site's own scope, which no job can change."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.filter import ContentBlockedException, Filter
from nvflare.apis.fl_constant import FLMetaKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.app_common.app_constant import AppConstants

from fedmed.core.errors import InputError
from fedmed.core.names import EXTRAS, LEDGER, PRIVACY
from fedmed.core.registry import rebuilt
from fedmed.environments.flare.result_meta import known_meta, without_metrics
from fedmed.privacy.base import Mechanism, ReleaseContext
from fedmed.privacy.release import release


class PrivacyFilter(Filter):
    """Checks a result, has the mechanism act on it, books it in the site's ledger, and only then lets it leave.

    Whatever goes wrong, nothing leaves; the result that was given is not changed. A job's own mechanism acts in the
    site's process before (:mod:`fedmed.site.site`); this one is named in a site's ``local/privacy.json``.

    Args:
        mechanism: the mechanism's name and options, as in the experiment file.
        seed: the experiment's.
        ledger_name: the site's file; in a site's own scope give another, since a job may have a ledger of its own.
        run_id: common to the jobs of one run, so that they share a ledger; None where a job is a run.
        statistics: names of running statistics, which a heuristic mechanism lets pass and a formal one refuses.
    """

    def __init__(
        self,
        mechanism: dict[str, Any],
        seed: int = 0,
        ledger_name: str = LEDGER,
        run_id: str | None = None,
        statistics: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.run_id = run_id
        self.mechanism = mechanism
        self.seed = seed
        self.ledger_name = ledger_name
        self.statistics = list(statistics)

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        if shareable.get_return_code() != ReturnCode.OK:
            return make_reply(shareable.get_return_code())  # and whatever else it holds stays here
        dxo, mechanism = from_shareable(shareable), rebuilt("privacy", self.mechanism)
        if dxo.data_kind == DataKind.METRICS:  # in a site's own scope the filter sees these too
            withheld = mechanism.withholds_metrics
            return without_metrics(dxo).update_shareable(copy.copy(shareable)) if withheld else shareable
        try:
            released = self._released(dxo, mechanism, shareable, fl_ctx)
        except InputError as error:
            raise ContentBlockedException(str(error)) from error
        return released.update_shareable(copy.copy(shareable))

    def _released(self, dxo: DXO, mechanism: Mechanism, shareable: Shareable, fl_ctx: FLContext) -> DXO:
        """The result as it may leave, after its entry is on the disk.

        Raises:
            InputError: it may not leave.
        """
        if dxo.data_kind != DataKind.WEIGHT_DIFF:
            raise InputError(f"The result is of kind {dxo.data_kind}; only weight differences may leave.")
        context, job = self._context(dxo, shareable, fl_ctx), self.run_id or str(fl_ctx.get_job_id())
        extras = (dxo.meta or {}).get(EXTRAS)
        released = release(
            dxo.data, mechanism, context, job, statistics=self.statistics, extras=extras, ledger_name=self.ledger_name
        )
        meta = self._meta(dxo.meta or {}, mechanism, released.entry.travelling(mechanism.dp_send_diagnostics))
        return DXO(DataKind.WEIGHT_DIFF, data=released.update, meta=meta)

    def _meta(self, meta: Mapping[str, Any], mechanism: Mechanism, entry: dict[str, Any]) -> dict[str, Any]:
        known = dict(meta)
        if mechanism.GUARANTEE == "formal":
            known = known_meta(meta, metrics=not mechanism.withholds_metrics)
        if self.ledger_name == LEDGER or PRIVACY not in known:
            known[PRIVACY] = entry
        return known

    def _context(self, dxo: DXO, shareable: Shareable, fl_ctx: FLContext) -> ReleaseContext:
        steps = dxo.get_meta_prop(FLMetaKey.NUM_STEPS_CURRENT_ROUND)
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise InputError(f"The result states {steps!r} optimiser steps; expected a whole number from 1.")
        number = shareable.get_header(AppConstants.CURRENT_ROUND, fl_ctx.get_prop(AppConstants.CURRENT_ROUND))
        if not isinstance(number, int):
            raise InputError("The result belongs to no round; the ledger could not book it.")
        return ReleaseContext(fl_ctx.get_identity_name(), number + 1, steps, self.seed)
