"""The picture of a run: loss and score over the rounds, every site and their mean."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedmed.core.site_scores import weight_of

_OKABE_ITO = mpl.color_sequences["okabe_ito"]
COLOURS = tuple(_OKABE_ITO[number] for number in (5, 1, 3, 6, 7, 2))
"""Okabe and Ito's, which the colour-blind tell apart: without black, a mean's, and yellow, too pale on white."""

DASHES = ("-", "--", ":", "-.")

MOST_IN_LEGEND = 14
"""Lines that a legend can name without covering its axes."""


def draw(
    history: pd.DataFrame,
    regions: Sequence[str],
    key: str,
    best: int | None,
    caption: str,
    path: Path,
    *,
    split: bool = False,
) -> None:
    """Draw ``history`` (columns round, site, train_loss, the metrics) to a PNG or SVG; needs no screen.

    Args:
        best: the round whose model was chosen, marked by a vertical line.
        caption: what the figure was made of, printed under it.
        split: whether sites scored different cases, so that their curves say nothing of the sites.
    """
    spent = "epsilon" in history
    figure = Figure(figsize=(16 if spent else 12, 4), layout="constrained")
    loss, score, parts, *budget = figure.subplots(1, 4 if spent else 3)
    _by_site(loss, history, "train_loss", "training loss")
    _by_site(score, history, key, f"{key} at each site{', of its share of the cases' if split else ''}")
    _by_region(parts, history, regions, key)
    for axes in (score, parts):
        axes.set_ylim(0, 1)
        if best is not None:
            axes.axvline(best, color="0.6", linestyle=":", label=f"best: round {best}")
    for axes in budget:
        _by_site(axes, history, "epsilon", "epsilon spent, by site", mean=False)
    for axes in (loss, score, parts, *budget):
        if 0 < len(axes.lines) <= MOST_IN_LEGEND:
            axes.legend(fontsize=8)
        if not axes.lines:
            axes.text(0.5, 0.5, "no site reported it", transform=axes.transAxes, ha="center", color="0.35")
    figure.supxlabel(caption, fontsize=8, color="0.35")
    figure.savefig(path, dpi=120)


def line_style(number: int) -> dict[str, Any]:
    """Colour and dashes of the n-th line, from 0; the 24 first differ."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number // len(COLOURS) % len(DASHES)]}


def _by_site(axes: Axes, history: pd.DataFrame, column: str, title: str, *, mean: bool = True) -> None:
    for number, (site, rows) in enumerate(history.groupby("site")):
        if column in rows:
            known = rows.dropna(subset=[column])
            style = line_style(number)
            axes.plot(known["round"], known[column], marker=".", label=site, linewidth=1, alpha=0.8, **style)
    if mean and column in history:
        average = weighted_mean(history, column)
        axes.plot(average.index, average, color="black", linewidth=1.6, label="mean")
    _finish(axes, title)


def _by_region(axes: Axes, history: pd.DataFrame, regions: Sequence[str], key: str) -> None:
    for number, region in enumerate(regions):
        column = f"{key}_{region.lower()}"
        if column in history:
            mean = weighted_mean(history, column)
            axes.plot(mean.index, mean, marker=".", label=region, **line_style(number))
    _finish(axes, f"{key} by region, mean over sites")


def weighted_mean(history: pd.DataFrame, column: str) -> pd.Series:
    """The mean over sites by round, weighted as for the choice of the best model."""
    known = history.dropna(subset=[column])
    reports = [{str(name): value for name, value in row.items() if pd.notna(value)} for _, row in known.iterrows()]
    weights = pd.Series([weight_of(report, column) for report in reports], index=known.index, dtype=float)
    total = (known[column] * weights).groupby(known["round"]).sum()
    return total / weights.groupby(known["round"]).sum()


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("federated rounds")
    axes.grid(alpha=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
