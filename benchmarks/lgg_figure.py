"""The figure of the study of lower-grade gliomas: Dice by institution and way, and where nobody trained."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.lgg_splits import FOLDS, HOLD_OUT
from benchmarks.lgg_tables import TITLES, alone, by_patient, figures, of_institution
from fedmed.analysis.evaluation.evaluation_table import POOLED

COLORS = dict(zip(TITLES, (mpl.color_sequences["okabe_ito"][number] for number in (6, 5, 1, 7, 2)), strict=True))

WIDTH = 0.8
"""Of an institution's marks together."""


def figure(scores: pd.DataFrame) -> Figure:
    """Left a dot a patient of the folds, right the means at institutions that were left out; intervals by patient."""
    found = Figure(figsize=(13, 4.8), layout="constrained")
    left, right = found.subplots(1, 2, width_ratios=(3, 2), sharey=True)
    of_figures = figures(scores)
    for axes, part in ((left, FOLDS), (right, HOLD_OUT)):
        own = of_figures[of_figures["part"] == part]
        _draw(axes, own, by_patient(scores[scores["part"] == part]) if part == FOLDS else None)
    _draw_alone(right, scores, of_figures)
    left.set_title("test patients of all folds, a dot a patient", fontsize=10)
    right.set_title("an institution that nobody trained on; a cross: another's own model", fontsize=10)
    left.set_ylabel("Dice, mean over seeds, 95 % interval")
    left.set_ylim(-0.02, 1.02)
    return found


def _draw(axes: Axes, found: pd.DataFrame, patients: pd.DataFrame | None) -> None:
    """The means of each way side by side at each institution, over the dots of its patients where they are given."""
    codes, ways = places(found), [way for way in TITLES if way in set(found["way"])]
    for number, way in enumerate(ways):
        for _, row in found[found["way"] == way].iterrows():
            place = codes.index(row["institution"]) + _shift(number, len(ways))
            if patients is not None:
                of_way = patients[patients["way"] == way]
                _dots(axes, place, of_institution(of_way, row["institution"]), WIDTH / len(ways), way)
            _mean(axes, place, row)
    counts = found.groupby("institution")["patients"].max()
    axes.set_xticks(range(len(codes)), [f"{code}\n{counts[code]} patients" for code in codes], fontsize=8)
    axes.grid(axis="y", alpha=0.25)
    if ways:
        marks = [Line2D([], [], marker="D", linestyle="none", color=COLORS[way], label=TITLES[way]) for way in ways]
        axes.legend(handles=marks, fontsize=8, loc="lower left")


def _mean(axes: Axes, place: float, row: "pd.Series[Any]") -> None:
    """The mean with its interval, where it has one."""
    axes.scatter(place, row["value"], marker="D", s=26, color=COLORS[row["way"]], edgecolors="black", zorder=3)
    if not pd.isna(row["low"]):
        axes.vlines(place, row["low"], row["high"], color="black", linewidth=1.2, zorder=2.5)


def places(found: pd.DataFrame) -> list[str]:
    """The institutions in alphabetical order, and all of them."""
    codes: list[str] = sorted(set(found["institution"]) - {POOLED})
    return [*codes, POOLED] if codes else []


def _shift(number: int, ways: int) -> float:
    return WIDTH * ((number + 0.5) / ways - 0.5)


def _dots(axes: Axes, place: float, patients: pd.DataFrame, width: float, way: str) -> None:
    values: Sequence[float] = sorted(patients["value"])
    across = np.linspace(-0.4, 0.4, len(values)) * width if len(values) > 1 else [0.0]
    axes.scatter(place + np.asarray(across), values, s=6, color=COLORS[way], alpha=0.5, linewidths=0)


def _draw_alone(axes: Axes, scores: pd.DataFrame, found: pd.DataFrame) -> None:
    """The mean of each other institution's own model, beside the mean of them all."""
    own = found[found["part"] == HOLD_OUT]
    codes, ways = places(own), [way for way in TITLES if way in set(own["way"])]
    for _, row in alone(scores).iterrows():
        x = codes.index(row["institution"]) + _shift(ways.index("local"), len(ways))
        axes.scatter(x, row["value"], marker="x", s=22, color=COLORS["local"], zorder=2.8)
