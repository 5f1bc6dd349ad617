"""The picture of several runs: a line a run, or a line with a band for runs that differ in their seed alone."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fedmed.analysis.curves.run_curves import band, over_sites, steps_in_words
from fedmed.analysis.curves.run_groups import Group
from fedmed.core.errors import InputError
from fedmed.runs.training_curves import line_style

PANELS_IN_ROW = 4
"""Panels side by side where the sites of one tag, or many tags, take several rows."""

Shared = Literal["all", "row", "none"]
"""The panels that have the same axes."""

MOST_PANELS = 120
"""Beyond it a picture takes minutes and nobody can read it."""


@dataclass(frozen=True)
class CurveStyle:
    """The style of curves: smoothed with ``weight``, and each site's apart or their mean."""

    weight: float
    by_site: bool


def draw(
    table: pd.DataFrame, tags: Sequence[str], groups: Sequence[Group], style: CurveStyle, note: str = ""
) -> Figure:
    """A panel a tag, one below the other or, of many, some side by side; or a panel a tag and site.

    Args:
        table: the columns run, site, tag, step, value and weight.
        note: a sentence to stand over the figure, after those that say how to read it.

    Raises:
        InputError: there would be more panels than one can read.
    """
    sites = sorted(table["site"].unique()) if style.by_site else [None]
    panels = [(tag, site) for tag in tags for site in sites]
    if len(panels) > MOST_PANELS:
        raise InputError(
            f"--sites makes {len(panels)} panels; expected at most {MOST_PANELS}: name fewer tags or runs."
        )
    columns, shared = _columns(len(tags), len(sites))
    figure, grid = _grid(len(panels), columns, len(groups), shared)
    for number, (axes, (tag, site)) in enumerate(zip(grid, panels, strict=False)):
        _draw_groups(axes, _points(table, tag, site), groups, style.weight)
        lowest = len(tags) > 1 or number + columns >= len(panels)
        _finish(axes, tag, site, first=shared == "none" or number % columns == 0, last=lowest)
    figure.legend(handles=_handles(groups, style), loc="outside lower center", ncols=max(1, columns), fontsize=8)
    sentences = f"{_reading(groups, style)} {note}".strip()
    figure.suptitle("\n".join(textwrap.wrap(sentences, int(figure.get_figwidth() * 17))), fontsize=8, color="0.35")
    return figure


def _columns(tags: int, sites: int) -> tuple[int, Shared]:
    """The number of panels side by side, and the axes that they share."""
    if tags == 1:
        return min(sites, PANELS_IN_ROW), "all"
    return (sites, "row") if sites > 1 or tags <= PANELS_IN_ROW else (PANELS_IN_ROW, "none")


def _points(table: pd.DataFrame, tag: str, site: str | None) -> pd.DataFrame:
    """The points of one tag, of one site or of all."""
    of_tag = table[table["tag"] == tag]
    return of_tag if site is None else of_tag[of_tag["site"] == site]


def _handles(groups: Sequence[Group], style: CurveStyle) -> list[Line2D]:
    """The legend: a line a group, and the faint line of what is not smoothed."""
    handles = [Line2D([], [], label=group.label, **line_style(line)) for line, group in enumerate(groups)]
    if style.weight:
        handles.append(Line2D([], [], label="as it is, not smoothed", color="0.4", alpha=0.4, linewidth=1))
    return handles


def _grid(panels: int, columns: int, groups: int, shared: Shared) -> tuple[Figure, Sequence[Axes]]:
    """Axes row by row; those that no panel takes are not shown."""
    rows = -(-panels // columns)
    width, height = (7.0, 3.8) if columns == 1 else (3.2, 2.6)
    size = (max(7.0, width * columns), height * rows + 0.4 + 0.2 * -(-groups // columns))
    figure = Figure(figsize=size, layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False, sharex=shared, sharey=shared).flat)
    for axes in grid[panels:]:
        axes.set_visible(False)
    return figure, grid


def _draw_groups(axes: Axes, points: pd.DataFrame, groups: Sequence[Group], weight: float) -> None:
    for line, group in enumerate(groups):
        _draw_group(axes, points, group, weight, line)


def _draw_group(axes: Axes, points: pd.DataFrame, group: Group, weight: float, line: int) -> None:
    curves = [over_sites(rows) for run, rows in points.groupby("run") if run in group.runs]
    if not curves:
        return
    style, drawn, raw = line_style(line), band(curves, weight), band(curves, 0)
    axes.plot(drawn.index, drawn["mean"], **style)
    if len(curves) > 1:
        axes.fill_between(drawn.index, drawn["low"], drawn["high"], color=style["color"], alpha=0.2, linewidth=0)
    if weight > 0:
        axes.plot(raw.index, raw["mean"], color=style["color"], alpha=0.25, linewidth=1)


def _finish(axes: Axes, tag: str, site: str | None, first: bool, last: bool) -> None:
    if site is not None:
        axes.set_title(site, fontsize=9)
    if first:
        axes.set_ylabel(tag)
    if last:
        axes.set_xlabel(steps_in_words(tag), fontsize=9)
        axes.tick_params(labelbottom=True)
    axes.grid(alpha=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _reading(groups: Sequence[Group], style: CurveStyle) -> str:
    """The reading of the lines, in words."""
    several = any(len(group.runs) > 1 for group in groups)
    what = "Each site's own value" if style.by_site else "Mean over sites"
    smoothed = f"smoothed with {style.weight:g} (faint: as it is)" if style.weight else "not smoothed"
    over = "; of several seeds the mean, and from the lowest to the highest as a band" if several else ""
    return f"{what}, {smoothed}{over}."
