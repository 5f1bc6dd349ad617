"""The attacks that were tried on a run, from the file that privacy_audit.py leaves."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from fedmed.core.errors import InputError
from fedmed.runs.run_folder import RunFolder

AUDIT_FILE = "privacy_audit"
"""The stem of the files of an attack audit: its numbers (.json) and its picture (.png)."""


def attack_table(run: RunFolder) -> pd.DataFrame | None:
    """A row an attack and group of cases, its figures with their 95 % intervals in words; None where none was tried.

    Raises:
        InputError: the file is not as an audit leaves it.
    """
    if not (run.path / f"{AUDIT_FILE}.json").is_file():
        return None
    found = run.read_json(AUDIT_FILE)
    try:
        return pd.DataFrame([_row(each) for each in found["attacks"]])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{run.path / AUDIT_FILE}.json is not as an audit leaves it; make it anew with privacy_audit.py."
        ) from error


def _row(attack: Mapping[str, Any]) -> dict[str, str]:
    row = {name: str(attack[key]) for name, key in (("attack", "attack"), ("group", "site"))}
    row |= {"members": str(attack["members"]), "held-out": str(attack["others"]), "AUC": _interval(attack["auc"])}
    for rate in attack["tpr"]:
        row[f"TPR at FPR {rate['fpr']:.0%}"] = _interval(rate)
        if rate["promised_at_most"] is not None:
            row[f"promised at {rate['fpr']:.0%}"] = f"at most {rate['promised_at_most']:.2f}"
    return row


def _interval(found: Mapping[str, float]) -> str:
    return f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
