"""A release entered in a site's ledger, refused where it would exceed the budget."""

import math
from collections.abc import Sequence

from fedmed.core.errors import InputError
from fedmed.privacy.base import Mechanism, ReleaseContext, Released
from fedmed.privacy.ledger import Entry, Ledger


def booked(
    released: Released, context: ReleaseContext, ledger: Ledger, mechanism: Mechanism, passed: Sequence[str]
) -> Entry:
    """The entry of a release, added to the site's ledger.

    Args:
        passed: the entries of the model that leave as they are.

    Raises:
        InputError: it would exceed the budget, so it must not be sent.
    """
    of_round, total, after_next, delta = released.spent
    if mechanism.budget is not None and (total is None or total > mechanism.budget):
        raise InputError(
            f"Round {context.round} would bring epsilon to {total:g} and the budget is {mechanism.budget:g}; "
            "nothing is sent."
        )
    known = {name: value for name, value in released.diagnostics.items() if math.isfinite(value)}
    diagnostics = {**dict.fromkeys(released.diagnostics), **known}  # JSON has no NaN
    facts = {**released.facts, **({"passed_as_they_are": list(passed)} if passed else {})}
    entry = Entry(context.site, context.round, of_round, total, after_next, delta, facts, diagnostics)
    ledger.entries.append(entry)
    return entry
