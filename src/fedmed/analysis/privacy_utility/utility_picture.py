"""Scores against epsilon as a picture: a panel a metric, a point where there is an epsilon, else a band."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from fedmed.privacy.svt import MEANINGFUL
from fedmed.tasks.base import Metric

MARKERS = {"patient": "o", "image": "^", "site's update": "s"}
"""The markers by the unit of privacy."""


def placed(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows that are points on the logarithmic axis, and those that are bands across it as they have no epsilon."""
    on_axis = (rows["epsilon"] > 0) & (rows["epsilon"] < math.inf)
    return rows[on_axis].sort_values("epsilon"), rows[~on_axis]


def limits(epsilons: Sequence[float]) -> tuple[float, float]:
    """Ends of the axis: whole decades around all points and around the border of the meaningful."""
    spots = [MEANINGFUL, *epsilons]
    low, high = math.floor(math.log10(min(spots) / 2)), math.ceil(math.log10(max(spots) * 2))
    return 10.0**low, 10.0**high


def draw(rows: pd.DataFrame, metrics: Sequence[Metric], caption: str, path: Path) -> None:
    """Write the figure.

    Args:
        rows: those of the pooled table.
        metrics: a panel each, the first one the highest.
        caption: the data that the scores come from.
    """
    figure = Figure(figsize=(10, 4 + 1.5 * len(metrics)), layout="constrained")
    ratios = (2, *[1] * (len(metrics) - 1))
    panels = figure.subplots(len(metrics), 1, sharex=True, height_ratios=ratios, squeeze=False)[:, 0]
    colours = {name: "0.35" if name == "none" else f"C{i}" for i, name in enumerate(rows["mechanism"].unique())}
    for axes, metric in zip(panels, metrics, strict=True):
        _panel(axes, rows, metric.name, colours)
        axes.set_ylabel(f"mean {metric.title}")
    panels[0].set_xlim(*limits(placed(rows)[0]["epsilon"].tolist()))
    panels[0].xaxis.set_major_locator(LogLocator(numticks=99))  # every decade
    above = panels[0].get_xaxis_transform()
    border = f"epsilon {MEANINGFUL:g}, the border of what is meaningful"
    panels[0].text(MEANINGFUL, 1.01, border, transform=above, va="bottom", fontsize=9)
    panels[-1].set_xlabel("epsilon of the site that spent most, over all rounds")
    figure.legend(handles=legend_lines(rows, colours), loc="outside upper center", ncols=3, fontsize=9, frameon=False)
    figure.supxlabel(caption, fontsize=8, color="0.35")
    figure.savefig(path, dpi=130)


def _panel(axes: Axes, rows: pd.DataFrame, metric: str, colours: Mapping[str, str]) -> None:
    points, bands = placed(rows)
    axes.set_xscale("log")
    axes.axvline(MEANINGFUL, color="0.2", linewidth=1, linestyle=":")
    for row in bands.to_dict("records"):
        colour = colours[row["mechanism"]]
        axes.axhspan(row[f"{metric}_min"], row[f"{metric}_max"], color=colour, alpha=0.15, linewidth=0)
        axes.axhline(row[metric], **_line(row, colour))
    for row in points.to_dict("records"):
        reach = [[row[metric] - row[f"{metric}_min"]], [row[f"{metric}_max"] - row[metric]]]
        axes.errorbar(row["epsilon"], row[metric], yerr=reach, capsize=3, **_marker(row, colours[row["mechanism"]]))
    for (mechanism, guarantee), line in points.groupby(["mechanism", "guarantee"]):
        if guarantee == "formal":  # one budget after another; the others' options differ in more than the budget
            axes.plot(line["epsilon"], line[metric], color=colours[str(mechanism)], linewidth=1, alpha=0.5)
    axes.set_ylim(-0.04, 1)  # so that markers at 0 are whole
    axes.grid(alpha=0.25)


def _marker(row: Mapping[Any, Any], colour: str) -> dict[str, Any]:
    """The shape stands for the unit of privacy; a marker is filled where the guarantee is a theorem."""
    filled = colour if row["guarantee"] == "formal" else "white"
    return {
        **{"marker": MARKERS.get(row["unit"], "D"), "markersize": 8, "linestyle": "none"},
        **{"color": colour, "markerfacecolor": filled, "markeredgewidth": 1.5, "zorder": 3},
    }


def _line(row: Mapping[Any, Any], colour: str) -> dict[str, Any]:
    return {"color": colour, "linewidth": 1.3, "linestyle": "-" if row["guarantee"] == "none" else "--"}


def legend_lines(rows: pd.DataFrame, colours: Mapping[str, str]) -> list[Line2D]:
    """An entry a mechanism, with its own marker or line."""
    handles: dict[str, Line2D] = {}
    for part, style, end in zip(placed(rows), (_marker, _line), ("", ", no epsilon"), strict=True):
        for row in part.to_dict("records"):
            what = "no protection" if row["guarantee"] == "none" else f"{row['guarantee']}, unit: {row['unit']}{end}"
            label = f"{row['mechanism']}: {what}"
            handles[label] = Line2D([], [], label=label, **style(row, colours[row["mechanism"]]))
    return list(handles.values())
