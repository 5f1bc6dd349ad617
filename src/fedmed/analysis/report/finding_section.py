"""The section of a report on a task of several findings: their figures, intervals, and how sure the model is."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.analysis.evaluation.evaluation_table import POOLED
from fedmed.analysis.evaluation.finding_figures import FINDING_FIGURES, OF_A_FINDING, share_text
from fedmed.analysis.evaluation.patient_bootstrap import rows_of
from fedmed.analysis.report.class_section import MOST_SITES
from fedmed.analysis.report.finding_picture import finding_picture
from fedmed.analysis.report.reliability_picture import finding_reliability_picture
from fedmed.analysis.report.report_page import Part, Picture, Section, Table, Text
from fedmed.tasks.scoring.classification_metrics import AUROC, AVERAGE_PRECISION, PREDICTED, TRUTH


def finding_section(folder: EvaluationFolder) -> Section | None:
    """The figures of each finding, AUROC and average precision as bars with intervals, and the reliability diagram.

    None where the evaluation holds no findings, as its task has none.
    """
    about = folder.document().get(FINDING_FIGURES)
    if about is None:
        return None
    table = folder.table()
    parts: list[Part] = [Text(about["note"]), _table("all cases", about, about["thresholds"])]
    if 1 < len(about["by_site"]) <= MOST_SITES:
        parts += [_table(site, found, about["thresholds"]) for site, found in about["by_site"].items()]
    parts.append(Picture("AUROC and average precision, all cases: bootstrap 95 % intervals", _bars(table, about)))
    calibration = finding_reliability_picture(rows_of(folder.cases()))
    parts.append(Picture("calibration of the probabilities of all findings, all cases", calibration))
    return Section("Findings", parts)


def findings_of_cases(cases: pd.DataFrame) -> dict[tuple[str, str], tuple[str, str]]:
    """The findings that each case has, and those that are decided for, in words, by site and case.

    Args:
        cases: a long table of a task of several findings.
    """
    named = {quantity: _named(cases, quantity) for quantity in (TRUTH, PREDICTED)}
    keys = dict.fromkeys(zip(cases["site"], cases["case"], strict=True))
    return {key: (named[TRUTH].get(key, "none"), named[PREDICTED].get(key, "none")) for key in keys}


def _named(cases: pd.DataFrame, quantity: str) -> dict[tuple[str, str], str]:
    found = cases[(cases["quantity"] == quantity) & (cases["value"] == 1)]
    return {(str(key[0]), str(key[1])): ", ".join(rows["target"]) for key, rows in found.groupby(["site", "case"])}


def _table(caption: str, figures: Mapping[str, Any], thresholds: Mapping[str, float | None]) -> Table:
    rows = [
        [
            name,
            *(str(found["cases"]), str(found["positives"]), share_text(thresholds[name])),
            *(share_text(found[metric.name]) for metric in OF_A_FINDING),
        ]
        for name, found in figures["per_finding"].items()
    ]
    columns = ("finding", "cases", "positive", "threshold", *(metric.title for metric in OF_A_FINDING))
    return Table(f"finding by finding, {caption}", columns, rows)


def _bars(table: pd.DataFrame, about: Mapping[str, Any]) -> bytes:
    """The picture of the pooled figures with the intervals of the evaluation's table."""
    pooled = table[table["site"] == POOLED]
    estimates = {
        metric.title: {
            str(row["target"]): (row["value"], row["low"], row["high"])
            for _, row in pooled[pooled["metric"] == metric.name].iterrows()
        }
        for metric in (AUROC, AVERAGE_PRECISION)
    }
    shares = {
        name: found["positives"] / found["cases"] for name, found in about["per_finding"].items() if found["cases"]
    }
    return finding_picture(estimates, about["names"], shares)
