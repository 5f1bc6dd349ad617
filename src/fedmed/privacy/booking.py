"""A release entered in a site's ledger, refused where it would exceed the run's budget or the site's own."""

import math
from collections.abc import Sequence

from fedmed.core.errors import InputError
from fedmed.privacy.base import Mechanism, ReleaseContext, Released
from fedmed.privacy.ledger import Entry, Ledger, open_site_ledger
from fedmed.privacy.policy import policy_of_this_site


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
    refuse_beyond_budget(total, mechanism, context.round)
    known = {name: value for name, value in released.diagnostics.items() if math.isfinite(value)}
    diagnostics = {**dict.fromkeys(released.diagnostics), **known}  # JSON has no NaN
    facts = {**released.facts, **({"passed_as_they_are": list(passed)} if passed else {})}
    entry = Entry(context.site, context.round, of_round, total, after_next, delta, facts, diagnostics)
    ledger.entries.append(entry)
    return entry


def expect_budget(site: str, job_id: str, mechanism: Mechanism, round_number: int) -> None:
    """Refuse a round (counted from 1) before it is trained where the site's ledger leaves no room for it.

    Raises:
        InputError: one more like the last would exceed the budget, the ledger cannot be used, or is missing though the
            round is not the first.
    """
    ledger = open_site_ledger(site, job_id, mechanism.document(), begins=round_number == 1)
    if ledger.entries:
        refuse_beyond_budget(ledger.entries[-1].epsilon_next, mechanism, round_number)


def budget_here(mechanism: Mechanism) -> float | None:
    """The epsilon that a run must not exceed at this site: the run's budget or the policy's, whichever is less.

    Raises:
        InputError: the policy cannot be used.
    """
    policy = policy_of_this_site()
    given = (mechanism.budget, policy.max_epsilon if policy else None)
    return min((each for each in given if each is not None), default=None)


def refuse_beyond_budget(total: float | None, mechanism: Mechanism, round_number: int) -> None:
    """Refuse a round (counted from 1) that would bring a site's epsilon to ``total``.

    Raises:
        InputError: that is above the budget, or no number where there is a budget.
    """
    budget = budget_here(mechanism)
    if budget is None or (total is not None and total <= budget):
        return
    spent = "to no number" if total is None else f"to {total:g}"
    raise InputError(f"Round {round_number} would bring epsilon {spent} and the budget is {budget:g}; nothing is sent.")
