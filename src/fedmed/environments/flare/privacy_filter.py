"""The one place where FLARE and a mechanism on updates meet: a filter on what a site sends."""

import copy
import math
from typing import Any

from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.filter import ContentBlockedException, Filter
from nvflare.apis.fl_constant import FLMetaKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.app_common.app_constant import AppConstants

from fedmed.core import registry
from fedmed.core.errors import InputError
from fedmed.core.options import from_plain
from fedmed.privacy.base import Mechanism, Occasion, Released
from fedmed.privacy.ledger import LEDGER, PRIVACY, Entry, Ledger, open_site_ledger, site_ledger
from fedmed.privacy.release_guard import known_meta, refuse_other_form, understood, without_metrics


class PrivacyFilter(Filter):
    """Checks a result, has the mechanism act on it, books it in the site's ledger, and only then lets it leave.

    Whatever goes wrong, nothing leaves; what was given is not changed. A site's own FLARE scope may name it too, in
    ``local/privacy.json``, and then no job can drop it.

    Args:
        mechanism: the mechanism's name and options, as in the experiment file.
        seed: the experiment's.
        ledger_name: the site's file; in a site's own scope give another, since a job may have a ledger of its own.
        run_id: what the jobs of one run have in common, so that they share a ledger; None where a job is a run.
    """

    def __init__(
        self, mechanism: dict[str, Any], seed: int = 0, ledger_name: str = LEDGER, run_id: str | None = None
    ) -> None:
        super().__init__()
        self.run_id = run_id
        self.mechanism = mechanism
        self.seed = seed
        self.ledger_name = ledger_name

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        if shareable.get_return_code() != ReturnCode.OK:
            return make_reply(shareable.get_return_code())  # and whatever else it holds stays here
        dxo, mechanism = from_shareable(shareable), rebuilt(self.mechanism)
        if dxo.data_kind == DataKind.METRICS:  # in a site's own scope the filter sees these too
            return (
                without_metrics(dxo).update_shareable(copy.copy(shareable))
                if mechanism.withholds_metrics
                else shareable
            )
        update, counters = understood(dxo)
        try:
            occasion = self._occasion(dxo, shareable, fl_ctx)
            job = self.run_id or str(fl_ctx.get_job_id())
            ledger = open_site_ledger(occasion.site, job, mechanism.document(), self.ledger_name)
            released = mechanism.release(update, occasion, ledger)
            refuse_other_form(update, released.update)
            entry = booked(released, occasion, ledger, mechanism, sorted(counters))
        except InputError as error:
            raise ContentBlockedException(str(error)) from error
        ledger.save(site_ledger(occasion.site, job, self.ledger_name))
        meta = dict(dxo.meta or {})
        if mechanism.GUARANTEE == "formal":
            meta = known_meta(meta, metrics=not mechanism.withholds_metrics)
        if self.ledger_name == LEDGER or PRIVACY not in meta:
            meta[PRIVACY] = entry.travelling(mechanism.dp_send_diagnostics)
        answer = DXO(DataKind.WEIGHT_DIFF, data={**released.update, **counters}, meta=meta)
        return answer.update_shareable(copy.copy(shareable))

    def _occasion(self, dxo: DXO, shareable: Shareable, fl_ctx: FLContext) -> Occasion:
        steps = dxo.get_meta_prop(FLMetaKey.NUM_STEPS_CURRENT_ROUND)
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ContentBlockedException(
                f"The result states {steps!r} optimiser steps; expected a whole number from 1."
            )
        number = shareable.get_header(AppConstants.CURRENT_ROUND, fl_ctx.get_prop(AppConstants.CURRENT_ROUND))
        if not isinstance(number, int):
            raise ContentBlockedException("The result belongs to no round; the ledger could not book it.")
        return Occasion(fl_ctx.get_identity_name(), number + 1, steps, self.seed)


def rebuilt(plain: dict[str, Any]) -> Mechanism:
    """A mechanism from its name and options."""
    options = dict(plain)
    mechanism: Mechanism = from_plain(registry.find("privacy", options.pop("name")), options)
    return mechanism


def booked(released: Released, occasion: Occasion, ledger: Ledger, mechanism: Mechanism, counters: list[str]) -> Entry:
    """Enter a release in the site's ledger.

    Raises:
        InputError: it would exceed the budget, so it must not be sent.
    """
    of_round, total, after_next, delta = released.spent
    if mechanism.budget is not None and (total is None or total > mechanism.budget):
        raise InputError(
            f"Round {occasion.round} would bring epsilon to {total:g} and the budget is {mechanism.budget:g}; "
            "nothing is sent."
        )
    known = {name: value for name, value in released.diagnostics.items() if math.isfinite(value)}
    diagnostics = {**dict.fromkeys(released.diagnostics), **known}  # JSON has no NaN
    facts = {**released.facts, **({"passed_as_they_are": counters} if counters else {})}
    entry = Entry(occasion.site, occasion.round, of_round, total, after_next, delta, facts, diagnostics)
    ledger.entries.append(entry)
    return entry
