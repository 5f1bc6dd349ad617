"""Scores of models that were trained with several seeds: means, spreads and widest intervals, a table and a picture."""

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

Numbers = Mapping[str, Mapping[str, Sequence[float]]]
"""A number a seed, by model and column."""

Bounds = Mapping[str, Mapping[str, tuple[float, float]]]
"""The lowest and the highest bound of a 95 % interval over the seeds, by model and column."""


def mean_and_spread(values: Sequence[float]) -> str:
    """Mean and, of several seeds, the sample's standard deviation; a dash where there is none, or one is NaN."""
    if not len(values) or np.isnan(values).any():
        return "-"
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def widest(bounds: pd.DataFrame) -> dict[str, dict[str, tuple[float, float]]]:
    """The lowest and the highest bound over the seeds.

    Args:
        bounds: the columns model, column, low and high, a row a seed.
    """
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for (model, column), rows in bounds.groupby(["model", "column"], sort=False):
        found.setdefault(str(model), {})[str(column)] = (float(rows["low"].min()), float(rows["high"].max()))
    return found


def table(numbers: Numbers, bounds: Bounds, labels: Mapping[str, str]) -> str:
    """Markdown: a row a model, mean and standard deviation over the seeds, and 95 % intervals where a column has them.

    A dash stands for what a model has no figure of.

    Args:
        labels: what each model was trained on, in the order of the rows.
    """
    models = [model for model in labels if model in numbers]
    columns = list(dict.fromkeys(column for model in models for column in numbers[model]))
    bounded = set(chain.from_iterable(bounds.values()))
    titles = ([column, *["95 %"] * (column in bounded)] for column in columns)
    head = ["model", "trained on", *chain.from_iterable(titles)]
    lines = ["| " + " | ".join(head) + " |", "|---|---" + "|---:" * (len(head) - 2) + "|"]
    for model in models:
        cells = (_cells(column, numbers[model], bounds[model], column in bounded) for column in columns)
        lines.append("| " + " | ".join([model, labels[model], *chain.from_iterable(cells)]) + " |")
    return "\n".join(lines)


def _cells(
    column: str, numbers: Mapping[str, Sequence[float]], bounds: Mapping[str, tuple[float, float]], bounded: bool
) -> list[str]:
    """The figure of a model, and its interval where any model has one."""
    return [mean_and_spread(numbers.get(column, [])), *[interval(bounds.get(column))] * bounded]


def interval(bounds: tuple[float, float] | None) -> str:
    """``0.701 to 0.812``; a dash where there is none."""
    return "-" if bounds is None or np.isnan(bounds[0]) else f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def draw_scores(
    axes: Axes,
    column: str,
    numbers: Numbers,
    bounds: Bounds,
    labels: Mapping[str, str],
    colors: Mapping[str, str],
) -> list[str]:
    """A column's mean over the seeds, a stroke a model with its interval, one model below the other.

    Returns:
        The models from top to bottom, at 0, 1, 2 and so on.
    """
    models = [model for model in labels if model in numbers]
    for place, model in enumerate(models):
        mean, color = float(np.mean(numbers[model][column])), colors.get(model, "0.5")
        axes.plot(bounds[model][column], (place, place), color=color, linewidth=1.5)
        axes.scatter(mean, place, marker="|", s=300, linewidths=3, color=color)
        axes.annotate(f"{mean:.3f}", (mean, place), (0, 9), textcoords="offset points", ha="center", fontsize=8)
    axes.set_yticks(range(len(models)), [f"{model}\n{labels[model]}" for model in models], fontsize=8)
    axes.set_ylim(len(models) - 0.4, -0.8)
    axes.grid(axis="x", color="0.9")
    return models
