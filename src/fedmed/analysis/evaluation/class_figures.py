"""The figures of a task of one class a case, class by class, and the confusion matrix. Pure functions over tables."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from fedmed.analysis.evaluation.evaluation_cases import SHARED
from fedmed.analysis.evaluation.patient_bootstrap import rows_of
from fedmed.tasks.scoring.classification_metrics import AUROC, PREDICTED, TRUTH

CLASSES = "classes"
"""The key of these figures in the document of an evaluation."""

FIGURES = ("precision", "recall", "f1", "auroc")
"""The figures of a class; None, shown as n/a, where no case is of the class, or none was decided for it."""


def class_document(cases: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """The confusion matrix and the figures of each class, of all cases and by site, as JSON values.

    Args:
        cases: a long table with the quantities score, predicted and truth.
        classes: their names, in the order of the matrix.

    Returns:
        ``names``; ``confusion_matrix``, a row a true and a column a decided class; ``per_class`` with ``cases`` and
        :data:`FIGURES` of each class; and both again by site under ``by_site``.
    """
    sites = sorted(set(cases["site"]) - {SHARED})
    by_site = {site: _figures(cases[cases["site"] == site], classes) for site in sites}
    return {"names": list(classes), **_figures(cases, classes), "by_site": by_site}


def confusion_text(document: dict[str, Any]) -> str:
    """The figures of each class and the confusion matrix of :func:`class_document`, as two tables for the screen."""
    names = document["names"]
    figures = pd.DataFrame.from_dict(document["per_class"], orient="index")
    shown = figures.assign(**{name: [_share_text(value) for value in figures[name]] for name in FIGURES})
    matrix = pd.DataFrame(document["confusion_matrix"], index=names, columns=names)
    return (
        f"Class by class\n\n{shown.to_string(justify='right')}\n\n"
        f"Confusion matrix: rows are the truth, columns the decision\n\n{matrix.to_string(justify='right')}"
    )


def _figures(cases: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    truth, decided = (_numbers(cases, quantity, classes) for quantity in (TRUTH, PREDICTED))
    matrix = confusion_matrix(truth, decided, labels=range(len(classes))) if truth else np.zeros([len(classes)] * 2)
    return {
        "confusion_matrix": matrix.astype(int).tolist(),
        "per_class": {
            name: {"cases": truth.count(number), **_of_class(cases, name, number, truth, decided)}
            for number, name in enumerate(classes)
        },
    }


def _of_class(
    cases: pd.DataFrame, name: str, number: int, truth: list[int], decided: list[int]
) -> dict[str, float | None]:
    if number not in truth:
        return dict.fromkeys(FIGURES)
    found = precision_recall_fscore_support(truth, decided, labels=[number], zero_division=np.nan)
    figures = [float(each[0]) for each in found[:3]]
    area = AUROC.reduce(rows_of(cases[cases["target"] == name]))
    return {each: None if math.isnan(value) else value for each, value in zip(FIGURES, (*figures, area), strict=True)}


def _numbers(cases: pd.DataFrame, quantity: str, classes: Sequence[str]) -> list[int]:
    """The number of each case's class by the target whose value of a quantity is 1, in the order of sites and cases."""
    own = cases[(cases["quantity"] == quantity) & (cases["value"] == 1)].sort_values(["site", "case"])
    return [classes.index(target) for target in own["target"]]


def _share_text(value: float | None) -> str:
    return "n/a" if value is None or math.isnan(value) else f"{value:.4f}"
