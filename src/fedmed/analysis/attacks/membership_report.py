"""A membership audit in words and numbers: the success of the attacks beside the stated privacy."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from fedmed.analysis.attacks.attack_statistics import allowed, resolvable_fpr, tpr_bound
from fedmed.analysis.attacks.membership import EVERY_SITE, RATES, AttackResult
from fedmed.analysis.attacks.stated_privacy import StatedPrivacy
from fedmed.core.statistics import Estimate


def as_text(found: Sequence[AttackResult], promised: StatedPrivacy | None) -> str:
    """A row an attack and group with 95 % intervals, beside each TPR its bound by the stated privacy, and notes."""
    table = pd.DataFrame([_row(each, promised) for each in found]).to_string(index=False, na_rep="-")
    others = found[0].others
    alarms = ", ".join(f"FPR {rate:.0%} allows {allowed(others, rate)} false alarms" for rate in RATES)
    return (
        f"{table}\n\n"
        "[95 % bootstrap interval, members and held-out cases resampled apart; one of no width means that no resample\n"
        "can mix them, not that the value is certain.]\n"
        f"{others} held-out cases resolve no FPR below {1 / others:.1%}: {alarms}."
    )


def as_json(found: AttackResult, promised: StatedPrivacy | None) -> dict[str, Any]:
    """One attack's result as JSON values."""
    tpr = [
        {
            "fpr": rate,
            "resolvable_fpr": resolvable_fpr(found.others, rate),
            **value._asdict(),
            "promised_at_most": limit_of(found, rate, promised),
        }
        for rate, value in found.tpr.items()
    ]
    return {**found._asdict(), "auc": found.auc._asdict(), "tpr": tpr}


def limit_of(found: AttackResult, rate: float, promised: StatedPrivacy | None) -> float | None:
    """The TPR that (epsilon, delta)-DP of patients allows, at the rate that the held-out cases resolve.

    For all sites together it is the limit of the site that spent most. None where none is stated for patients.
    """
    spent = promised.of_patients(None if found.site == EVERY_SITE else found.site) if promised else None
    return None if spent is None else tpr_bound(*spent, resolvable_fpr(found.others, rate))


def _row(found: AttackResult, promised: StatedPrivacy | None) -> dict[str, Any]:
    row: dict[str, Any] = {"attack": found.attack, "group": found.site}
    row |= {"members": found.members, "held-out": found.others, "AUC": _interval(found.auc)}
    for rate, value in found.tpr.items():
        row[f"TPR at FPR {rate:.0%}"] = _interval(value)
        limit = limit_of(found, rate, promised)
        if limit is not None:
            row[f"promised ({rate:.0%})"] = f"<= {limit:.2f}"
    return row


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
