"""The picture of a run: losses, accuracy and score over the rounds, every site and their mean."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedmed.core.site_scores import (
    CASES,
    LEARNING_RATE,
    PERSONAL,
    SUM,
    TRAINED,
    VALIDATION,
    VALUES,
    Figures,
    KeyScore,
    mean_over_sites,
)

_OKABE_ITO = mpl.color_sequences["okabe_ito"]
COLOURS = tuple(_OKABE_ITO[number] for number in (5, 1, 3, 6, 7, 2))
"""Okabe and Ito's, which the colour-blind tell apart: without black, a mean's, and yellow, too pale on white."""

DASHES = ("-", "--", ":", "-.")

LOSS, EPSILON = TRAINED[0], "epsilon"
ACCURACIES = ("train_accuracy", "val_accuracy")

BY_TARGET = "by target"
"""The panel of the key score by target, which draws several columns."""

OWN = "own model, each epoch"

MOST_IN_A_ROW = 4
"""Panels side by side; more stand in two rows."""

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
    epochs: pd.DataFrame | None = None,
) -> None:
    """Draw ``history`` (columns round, site, train_loss, the metrics) to a PNG or SVG; needs no screen.

    Training loss and score always have a panel, and the score by target where there are several; accuracy, the
    validation's loss, personal models' score, epsilon and a learning rate that varies where the history has them.

    Args:
        key: the score to draw, over all targets at each site, and by target.
        best: the round whose model was chosen, marked by a vertical line.
        caption: the figure's source, printed under it.
        split: True where sites scored different cases, so that their curves do not compare the sites.
        epochs: what sites reported of local epochs (columns round, site, epoch, figures), drawn between the rounds.
    """
    titles = panel_titles(key, split)
    always = (LOSS, key.name, *((BY_TARGET,) if key.targets else ()))
    shown = [column for column in titles if column in always or column in history]
    within = pd.DataFrame() if epochs is None or epochs.empty else within_rounds(epochs)
    figure, places = _panels(len(shown))
    for axes, column in zip(places, shown, strict=True):
        _lines(axes, column, history, within, key)
        of_global = column.startswith((VALIDATION, BY_TARGET)) and column != PERSONAL
        _finish(axes, titles[column], best if of_global else None)
        _limit(axes, column, key, max(1, history["round"].max()))
    figure.supxlabel(caption, fontsize=8, color="0.35")
    figure.savefig(path, dpi=120)


def _panels(number: int) -> tuple[Figure, list[Axes]]:
    """A figure with so many axes, in one row or two."""
    columns = number if number <= MOST_IN_A_ROW else -(-number // 2)
    rows = -(-number // columns)
    figure = Figure(figsize=(4 * columns, 4 * rows), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(number)]


def panel_titles(key: KeyScore, split: bool) -> dict[str, str]:
    """The panels that there may be, in their order, by the column that each draws."""
    at_sites = f"at each site{', of its share of the cases' if split else ''}"
    return {
        LOSS: "training loss",
        "val_loss": f"validation loss {at_sites}",
        "train_accuracy": "training accuracy",
        "val_accuracy": f"accuracy {at_sites}",
        key.name: f"{key.title} {at_sites}",
        PERSONAL: f"{key.title} of each site's personal model",
        BY_TARGET: f"{key.title} by target, mean over sites",
        EPSILON: "epsilon spent, by site",
        LEARNING_RATE: "learning rate",
    }


def within_rounds(epochs: pd.DataFrame) -> pd.DataFrame:
    """The epochs with the part of the rounds that is over after each, from 0, in the place of their round's number."""
    of_round = epochs.groupby(["round", "site"])["epoch"].transform("max")
    return epochs.assign(round=epochs["round"] - 1 + epochs["epoch"] / of_round)


def _legend(axes: Axes) -> None:
    lines = len(axes.get_legend_handles_labels()[1])
    if 0 < lines <= MOST_IN_LEGEND:
        axes.legend(fontsize=8 if lines < 8 else 6, ncols=1 if lines < 8 else 2, handlelength=2.5)


def line_style(number: int) -> dict[str, Any]:
    """Colour and dashes of the n-th line, from 0; the 24 first differ."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number // len(COLOURS) % len(DASHES)]}


def _lines(axes: Axes, column: str, history: pd.DataFrame, within: pd.DataFrame, key: KeyScore) -> None:
    if column == BY_TARGET:
        _by_target(axes, history, key)
        return
    if column == LEARNING_RATE:
        rate = history.dropna(subset=[column]).groupby("round")[column].first()
        axes.plot(rate.index, rate, marker=".", label="all sites", **line_style(0))
        return
    _by_site(axes, history, within, column)
    if column != EPSILON:
        title = key.over_sites if column == key.name and not key.combines else "mean"
        _mean(axes, history, column, key.figures, title)


def _by_site(axes: Axes, history: pd.DataFrame, within: pd.DataFrame, column: str) -> None:
    """A line a site: of training through all its epochs, of a validation through the rounds, and where each epoch was
    validated a dotted one of the site's own model.
    """
    for number, site in enumerate(sorted(set(history["site"]))):
        style, at_rounds, at_epochs = line_style(number), _known(history, site, column), _known(within, site, column)
        main = at_epochs if column in TRAINED and len(at_epochs) else at_rounds
        if len(main):
            axes.plot(main["round"], main[column], marker=".", label=site, linewidth=1, alpha=0.8, **style)
        if main is at_rounds and len(at_epochs):
            axes.plot(at_epochs["round"], at_epochs[column], ":", color=style["color"], linewidth=1.2, label="_")
    if column not in TRAINED and column in within:
        axes.plot([], [], ":", color="0.35", linewidth=1.2, label=OWN)


def _known(table: pd.DataFrame, site: str, column: str) -> pd.DataFrame:
    """The rows of a site that have a value."""
    return table[table["site"] == site].dropna(subset=[column]) if column in table else pd.DataFrame()


def _mean(axes: Axes, history: pd.DataFrame, column: str, figures: Figures, title: str) -> None:
    if column in history:
        mean = weighted_mean(history, column, figures)
        marker = "." if len(mean) == 1 else ""  # a line of one point is none
        axes.plot(mean.index, mean, color="black", linewidth=1.6, marker=marker, label=title)


def _by_target(axes: Axes, history: pd.DataFrame, key: KeyScore) -> None:
    for number, target in enumerate(key.targets):
        if key.of(target) in history:
            mean = weighted_mean(history, key.of(target), key.figures)
            axes.plot(mean.index, mean, marker=".", label=target, **line_style(number))


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


def _limit(axes: Axes, column: str, key: KeyScore, rounds: float) -> None:
    """All panels have the same rounds, and those of shares go from 0 to 1."""
    axes.set_xlim(-0.04 * rounds, 1.04 * rounds)
    if column in ACCURACIES or (key.is_share and column in (key.name, PERSONAL, BY_TARGET)):
        axes.set_ylim(-0.02, 1.02)


def _finish(axes: Axes, title: str, best: int | None) -> None:
    """Title, labels and legend; ``best``, the round whose model was chosen, is a vertical line."""
    if best is not None:
        axes.axvline(best, color="0.6", linestyle=":", label=f"best: round {best}")
    if not axes.lines:
        axes.text(0.5, 0.5, "no site reported it", transform=axes.transAxes, ha="center", color="0.35")
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("federated rounds")
    axes.grid(alpha=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(axes)
