"""A finished evaluation as text, and several side by side."""

from collections.abc import Mapping, Sequence
from itertools import takewhile

import pandas as pd

from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.analysis.evaluation.evaluation_table import POOLED, notes, pooled_text, site_text, spread_text
from fedmed.tasks.base import Metric


def headline(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """The metrics that a run is summed up by: a task's first ones, up to the first that is no share."""
    return (metrics[0], *takewhile(lambda metric: metric.is_share, metrics[1:]))


def evaluation_text(label: str, model: str, folder: EvaluationFolder, metrics: Sequence[Metric]) -> str:
    """Every metric's mean and interval, the first one by site, the gap between sites, notes, and the folder."""
    cases, table, about = folder.cases(), folder.table(), folder.document()
    return (
        f"\n{label}, {model} model on {len(about['cases'])} {about['split']} cases: mean [95 % interval]\n\n"
        f"{pooled_text(table, metrics)}\n\n{metrics[0].title} by site\n\n{site_text(table, metrics[0])}\n\n"
        f"{spread_text(cases, metrics[0])}\n{chr(10).join(notes(table))}\n{folder.path}"
    )


def overview(tables: Mapping[str, tuple[Sequence[Metric], pd.DataFrame]]) -> str:
    """A row a run and metric of its headline: the pooled means overall and by region, as in the published table."""
    rows = []
    for label, (metrics, table) in tables.items():
        names = [metric.name for metric in headline(metrics)]
        pooled = table[(table["site"] == POOLED) & table["metric"].isin(names)]
        for metric, numbers in pooled.groupby("metric", sort=False):
            means = numbers.set_index("region")["mean"]
            rows.append({"run": label, "metric": metric, "cases": int(numbers["cases"].max()), **means})
    return pd.DataFrame(rows).to_string(index=False, float_format="{:.4f}".format, na_rep="-")
