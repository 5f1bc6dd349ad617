"""A cross-validation as a picture: a dot a patient by site, with each site's mean and its interval."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fedmed.analysis.cross_validation.pooled_folds import FOLD, PooledFolds, by_patient, by_site
from fedmed.analysis.evaluation.evaluation_table import OVERALL, POOLED, metric_heading

_OKABE_ITO = mpl.color_sequences["okabe_ito"]
COLOURS = tuple(_OKABE_ITO[number] for number in (5, 1, 3, 6, 7, 2))

WIDTH = 0.3
"""Half the width over which a site's dots are spread."""


def draw(found: PooledFolds, caption: str, path: Path) -> None:
    """Write the figure of the task's first metric; where it has no value a patient, the sites' figures alone.

    Args:
        caption: printed under the figure.
    """
    metric = found.key
    patients = by_patient(found, metric)
    overall = found.table[(found.table["metric"] == metric.name) & (found.table["target"] == OVERALL)]
    table = by_site(patients) if len(patients) else overall
    sites = [*sorted(set(table["site"]) - {POOLED}), POOLED]
    folds = list(dict.fromkeys(found.cases[FOLD]))
    figure = Figure(figsize=(3 + 1.1 * len(sites), 4.5), layout="constrained")
    axes = figure.subplots()
    for place, site in enumerate(sites):
        _dots(axes, place, patients if site == POOLED else patients[patients["site"] == site], folds)
        _mean(axes, place, table[table["site"] == site].iloc[0])
    counts = table.set_index("site")["patients"]
    axes.set_xticks(range(len(sites)), [f"{site}\n{int(counts[site])} {found.task.unit}s" for site in sites])
    axes.set_ylabel(metric_heading(metric))
    axes.grid(axis="y", alpha=0.25)
    if metric.is_share:
        axes.set_ylim(-0.02, 1.02)
    if len(patients):
        axes.legend(handles=_handles(folds), fontsize=8)
    figure.supxlabel(caption, fontsize=8, color="0.35", wrap=True)
    figure.savefig(path, dpi=120)


def _dots(axes: Axes, place: int, patients: pd.DataFrame, folds: Sequence[str]) -> None:
    """A dot a patient, in the colour of its fold, in the order of the values across the column."""
    ordered = patients.sort_values(["value", "patient"])
    across = np.linspace(-WIDTH, WIDTH, len(ordered)) if len(ordered) > 1 else np.zeros(len(ordered))
    colours = [COLOURS[folds.index(fold) % len(COLOURS)] for fold in ordered[FOLD]]
    axes.scatter(place + across, ordered["value"].astype(float), s=14, c=colours or None, alpha=0.75, linewidths=0)


def _mean(axes: Axes, place: int, row: "pd.Series[float]") -> None:
    """The mean or other figure with its interval, where it has one."""
    axes.plot(place, row["value"], "D", color="black", markersize=5, zorder=3)
    if not pd.isna(row["low"]):
        axes.vlines(place, row["low"], row["high"], color="black", linewidth=1.4, zorder=3)


def _handles(folds: Sequence[str]) -> list[Line2D]:
    dots = [
        Line2D([], [], marker="o", linestyle="none", color=COLOURS[number % len(COLOURS)], markersize=4, label=fold)
        for number, fold in enumerate(folds)
    ]
    mean = Line2D([], [], marker="D", color="black", markersize=5, label="mean, 95 % interval")
    return [*dots, mean]
