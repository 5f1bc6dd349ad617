"""A finished evaluation as text, and several side by side."""

from collections.abc import Mapping, Sequence
from itertools import takewhile

import pandas as pd

from fedmed.analysis.evaluation.class_figures import CLASSES, confusion_text
from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.analysis.evaluation.evaluation_table import (
    MOST_COLUMNS,
    POOLED,
    notes,
    number_text,
    pooled_text,
    site_text,
    spread_text,
)
from fedmed.analysis.evaluation.finding_figures import FINDING_FIGURES, finding_text
from fedmed.tasks.base import Metric, Task


def headline(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """The metrics that a run is summed up by: a task's first ones, up to the first that is no share."""
    return (metrics[0], *takewhile(lambda metric: metric.is_share, metrics[1:]))


def evaluation_text(label: str, model: str, folder: EvaluationFolder, task: Task) -> str:
    """Every metric's figure and interval, the first one by site, the gap between sites, notes, and the folder."""
    cases, table, about = folder.cases(), folder.table(), folder.document()
    metrics = [metric for metric in task.METRICS if metric.name in set(table["metric"])]
    figure = "mean" if all(metric.combines == "values" for metric in metrics) else "value"
    classes = f"{confusion_text(about[CLASSES])}\n\n" if CLASSES in about else ""
    findings = about.get(FINDING_FIGURES)
    of_findings = f"{finding_text(findings)}\n\n" if findings else ""
    of_task = [*([findings["note"]] if findings else []), *task.NOTES]
    return (
        f"\n{label}, {model} model on {len(about['cases'])} {about['split']} cases: {figure} [95 % interval]\n\n"
        f"{pooled_text(table, metrics)}\n\n{metrics[0].title} by site\n\n{site_text(table, metrics[0])}\n\n"
        f"{classes}{of_findings}"
        f"{spread_text(cases, metrics[0])}\n{chr(10).join(notes(table, metrics, of_task, task.unit))}\n{folder.path}"
    )


def overview(tables: Mapping[str, tuple[Sequence[Metric], pd.DataFrame]]) -> str:
    """A row a run and metric of its headline: the pooled figures overall and by target, as in the published table."""
    rows = []
    for label, (metrics, table) in tables.items():
        pooled = table[table["site"] == POOLED]
        for metric in headline(metrics):
            own = pooled[pooled["metric"] == metric.name].set_index("target")
            shown = {
                str(target): number_text(value, metric) for target, value in own["value"].head(MOST_COLUMNS).items()
            }
            rows.append({"run": label, "metric": metric.name, "cases": int(own["cases"].max()), **shown})
    return pd.DataFrame(rows).to_string(index=False, na_rep="-")
