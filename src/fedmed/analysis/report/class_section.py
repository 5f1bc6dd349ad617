"""The section of a report on the classes of a task: its figures, who is taken for whom, and how sure the model is."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fedmed.analysis.evaluation.class_figures import CLASSES, FIGURES
from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.analysis.evaluation.patient_bootstrap import rows_of
from fedmed.analysis.report.confusion_picture import confusion_picture
from fedmed.analysis.report.reliability_picture import reliability_picture
from fedmed.analysis.report.report_page import Part, Picture, Section, Table
from fedmed.tasks.scoring.classification_metrics import PREDICTED, SCORE, TRUTH

MOST_SITES = 8
"""Sites whose confusion matrices are drawn beside that of all cases."""

TITLES = {"precision": "precision", "recall": "recall", "f1": "F1", "auroc": "AUROC"}


def class_section(folder: EvaluationFolder) -> Section | None:
    """The figures of each class, the confusion matrices and the reliability diagram.

    None where the evaluation holds no classes: its task has none, or it was made by an earlier version.
    """
    about = folder.document().get(CLASSES)
    if about is None:
        return None
    parts: list[Part] = [_table("all cases", about)]
    parts += [_table(site, figures) for site, figures in _by_site(about).items()]
    parts.append(Picture("confusion matrices: rows are the truth, columns the decision", _confusion(about)))
    parts.append(Picture("calibration of the decisions, all cases", reliability_picture(rows_of(folder.cases()))))
    return Section("Classes", parts)


def decided_classes(cases: pd.DataFrame) -> dict[tuple[str, str], tuple[str, str, float]]:
    """The true class, the decided one and the probability of that one, by site and case.

    Args:
        cases: a long table of a task of one class a case.
    """
    values = {
        quantity: {(site, case, target): value for site, case, target, value in zip(*columns, strict=True)}
        for quantity, table in cases.groupby("quantity")
        for columns in [[table[name] for name in ("site", "case", "target", "value")]]
    }
    truth = {(site, case): target for (site, case, target), value in values[TRUTH].items() if value == 1}
    return {
        (site, case): (truth[site, case], target, values[SCORE][site, case, target])
        for (site, case, target), value in values[PREDICTED].items()
        if value == 1 and (site, case) in truth
    }


def _by_site(about: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The figures by site, where there are several sites and not too many to show."""
    by_site = about["by_site"]
    return by_site if 1 < len(by_site) <= MOST_SITES else {}


def _table(caption: str, figures: Mapping[str, Any]) -> Table:
    rows = [
        [name, str(found["cases"]), *(_text(found[figure]) for figure in FIGURES)]
        for name, found in figures["per_class"].items()
    ]
    return Table(f"class by class, {caption}", ("class", "cases", *(TITLES[name] for name in FIGURES)), rows)


def _confusion(about: Mapping[str, Any]) -> bytes:
    groups = {"all": about, **_by_site(about)}
    matrices = {name: np.array(found["confusion_matrix"], dtype=np.int64) for name, found in groups.items()}
    return confusion_picture(matrices, about["names"])


def _text(value: float | None) -> str:
    return "n/a" if value is None or math.isnan(value) else f"{value:.4f}"
