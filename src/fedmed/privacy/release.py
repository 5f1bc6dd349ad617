"""The release of an update by a mechanism that acts on updates: checked, changed, booked, and only then handed on."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from fedmed.core.errors import InputError
from fedmed.core.names import LEDGER
from fedmed.privacy.base import Mechanism, ReleaseContext
from fedmed.privacy.booking import booked
from fedmed.privacy.ledger import Entry, open_site_ledger, site_ledger
from fedmed.privacy.release_guard import frozen_zeros, refuse_other_form, split_update


class Release(NamedTuple):
    """The differences that may leave a site, and the entry by which they are booked in its ledger."""

    update: dict[str, np.ndarray]
    entry: Entry


def release(
    update: Any,
    mechanism: Mechanism,
    context: ReleaseContext,
    job_id: str,
    *,
    statistics: Collection[str] = (),
    extras: Mapping[str, Any] | None = None,
    frozen: Collection[str] = (),
    ledger_name: str = LEDGER,
    begins: bool = True,
) -> Release:
    """The update as it may leave, after its entry is on the disk; the update that is given is not changed.

    Args:
        job_id: of the site's ledger.
        statistics: names of running statistics, which a heuristic mechanism lets pass and a formal one refuses.
        extras: arrays of the algorithm beside the update, which nothing covers.
        frozen: names of weights that did not train: their zeros, the same whatever the patients, leave as they are,
            get no noise and count in no norm.
        begins: False where the site must have a ledger already.

    Raises:
        InputError: it may not leave.
    """
    if extras:
        raise InputError("The result holds arrays of its algorithm beside the update, which nothing covers.")
    zeros = frozen_zeros(update, frozen)
    given, passed = split_update(_without(update, zeros), statistics, formal=mechanism.GUARANTEE == "formal")
    ledger = open_site_ledger(context.site, job_id, mechanism.document(), ledger_name, begins=begins)
    released = mechanism.release(given, context, ledger)
    refuse_other_form(given, released.update)
    entry = booked(released, context, ledger, mechanism, sorted(passed))
    ledger.save(site_ledger(context.site, job_id, ledger_name))
    return Release({**released.update, **passed, **zeros}, entry)


def _without(update: Any, zeros: Mapping[str, np.ndarray]) -> Any:
    return {name: values for name, values in update.items() if name not in zeros} if zeros else update
