"""The picture of a run: loss and score over the rounds, every site and their mean."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedmed.core.site_scores import CASES, SUM, VALUES, Figures, KeyScore, mean_over_sites

_OKABE_ITO = mpl.color_sequences["okabe_ito"]
COLOURS = tuple(_OKABE_ITO[number] for number in (5, 1, 3, 6, 7, 2))
"""Okabe and Ito's, which the colour-blind tell apart: without black, a mean's, and yellow, too pale on white."""

DASHES = ("-", "--", ":", "-.")

MOST_IN_LEGEND = 15
"""Lines that a legend can name without covering its axes; in two columns from the eighth on."""


def draw(
    history: pd.DataFrame,
    key: KeyScore,
    best: int | None,
    caption: str,
    path: Path,
    *,
    split: bool = False,
) -> None:
    """Draw ``history`` (columns round, site, train_loss, the metrics) to a PNG or SVG; needs no screen.

    Args:
        key: the score to draw, over all targets at each site, and by target.
        best: the round whose model was chosen, marked by a vertical line.
        caption: the figure's source, printed under it.
        split: True where sites scored different cases, so that their curves do not compare the sites.
    """
    spent = "epsilon" in history
    figure = Figure(figsize=(16 if spent else 12, 4), layout="constrained")
    loss, score, parts, *budget = figure.subplots(1, 4 if spent else 3)
    _by_site(loss, history, "train_loss", "training loss")
    _mean(loss, history, "train_loss")
    _by_site(score, history, key.name, f"{key.title} at each site{', of its share of the cases' if split else ''}")
    _mean(score, history, key.name, key.figures)
    _by_target(parts, history, key)
    for axes in (score, parts):
        if key.is_share:
            axes.set_ylim(0, 1)
        if best is not None:
            axes.axvline(best, color="0.6", linestyle=":", label=f"best: round {best}")
    for axes in budget:
        _by_site(axes, history, "epsilon", "epsilon spent, by site")
    for axes in (loss, score, parts, *budget):
        _legend(axes)
        if not axes.lines:
            axes.text(0.5, 0.5, "no site reported it", transform=axes.transAxes, ha="center", color="0.35")
    figure.supxlabel(caption, fontsize=8, color="0.35")
    figure.savefig(path, dpi=120)


def _legend(axes: Axes) -> None:
    lines = len(axes.lines)
    if 0 < lines <= MOST_IN_LEGEND:
        axes.legend(fontsize=8 if lines < 8 else 6, ncols=1 if lines < 8 else 2, handlelength=2.5)


def line_style(number: int) -> dict[str, Any]:
    """Colour and dashes of the n-th line, from 0; the 24 first differ."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number // len(COLOURS) % len(DASHES)]}


def _by_site(axes: Axes, history: pd.DataFrame, column: str, title: str) -> None:
    for number, (site, rows) in enumerate(history.groupby("site")):
        if column in rows:
            known = rows.dropna(subset=[column])
            style = line_style(number)
            axes.plot(known["round"], known[column], marker=".", label=site, linewidth=1, alpha=0.8, **style)
    _finish(axes, title)


def _mean(axes: Axes, history: pd.DataFrame, column: str, figures: Figures | None = None) -> None:
    if column in history:
        mean = weighted_mean(history, column, figures)
        axes.plot(mean.index, mean, color="black", linewidth=1.6, label="mean")


def _by_target(axes: Axes, history: pd.DataFrame, key: KeyScore) -> None:
    for number, target in enumerate(key.targets):
        if key.of(target) in history:
            mean = weighted_mean(history, key.of(target), key.figures)
            axes.plot(mean.index, mean, marker=".", label=target, **line_style(number))
    _finish(axes, f"{key.title} by target, mean over sites")


def weighted_mean(history: pd.DataFrame, column: str, figures: Figures | None = None) -> pd.Series:
    """A figure over the sites by round, as for the choice of the best model; rounds that no site reported are left out.

    Args:
        figures: those that are made from the sum of the sites' sums.
    """
    beside = [name for name in history if name in (CASES, column + VALUES) or str(name).startswith(column + SUM)]
    means = {}
    for number, at_sites in history.dropna(subset=[column])[["round", column, *beside]].groupby("round"):
        rows = at_sites.drop(columns="round").to_dict("index")
        reports = {str(n): {str(k): v for k, v in row.items() if pd.notna(v)} for n, row in rows.items()}
        means[number] = mean_over_sites(reports, figures).get(column, float("nan"))
    return pd.Series(means, name=column, dtype=float)


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("federated rounds")
    axes.grid(alpha=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
