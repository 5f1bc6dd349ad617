"""The figures of a task of several findings, finding by finding. Pure functions over tables."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fedmed.analysis.evaluation.evaluation_cases import SHARED
from fedmed.analysis.evaluation.patient_bootstrap import rows_of
from fedmed.tasks.scoring.classification_metrics import AUROC, AVERAGE_PRECISION, F1, PRECISION, RECALL, TRUTH

FINDING_FIGURES = "findings"
"""The key of these figures in the document of an evaluation."""

OF_A_FINDING = (AUROC, AVERAGE_PRECISION, F1, PRECISION, RECALL)
"""The metrics of a finding; None, shown as n/a, where a class lacks or nothing is decided."""


def finding_document(
    cases: pd.DataFrame, findings: Sequence[str], thresholds: Mapping[str, float | None]
) -> dict[str, Any]:
    """The figures of each finding, of all cases and by site, as JSON values.

    Args:
        cases: a long table with the quantities score and truth, and predicted where there are thresholds.
        findings: their names, in the order of the network's outputs.
        thresholds: of findings that have one.

    Returns:
        ``names``; ``thresholds``; ``per_finding`` with ``cases``, ``positives`` and :data:`OF_A_FINDING` of each
        finding; and that again by site under ``by_site``.
    """
    sites = sorted(set(cases["site"]) - {SHARED})
    return {
        "names": list(findings),
        "thresholds": {name: thresholds.get(name) for name in findings},
        "per_finding": _figures(cases, findings),
        "by_site": {site: {"per_finding": _figures(cases[cases["site"] == site], findings)} for site in sites},
    }


def finding_text(document: Mapping[str, Any]) -> str:
    """The numbers of cases of each finding and its threshold, as a table for the screen."""
    rows = {
        name: {
            "cases": found["cases"],
            "positive": found["positives"],
            "threshold": share_text(document["thresholds"][name]),
            **{title.title: share_text(found[title.name]) for title in OF_A_FINDING[2:]},
        }
        for name, found in document["per_finding"].items()
    }
    return f"Finding by finding\n\n{pd.DataFrame.from_dict(rows, orient='index').to_string(justify='right')}"


def share_text(value: float | None) -> str:
    """A share with four decimals; n/a where there is none."""
    return "n/a" if value is None or math.isnan(value) else f"{value:.4f}"


def _figures(cases: pd.DataFrame, findings: Sequence[str]) -> dict[str, dict[str, Any]]:
    by_finding = dict(tuple(cases.groupby("target", sort=False)))
    return {name: _of_finding(by_finding.get(name, cases.iloc[:0])) for name in findings}


def _of_finding(cases: pd.DataFrame) -> dict[str, Any]:
    truth = cases[cases["quantity"] == TRUTH]["value"].dropna()
    rows = rows_of(cases)
    values = {metric.name: metric.reduce(rows) for metric in OF_A_FINDING}
    figures = {name: None if math.isnan(value) else value for name, value in values.items()}
    return {"cases": len(truth), "positives": int(truth.sum()), **figures}
