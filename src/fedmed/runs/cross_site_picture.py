"""The picture of the cross-site matrix: a heat map with its numbers, each site's own model outlined."""

from io import BytesIO

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from fedmed.runs.cross_site_matrix import MEAN

OUTLINE = "#d55e00"


def picture(scored: pd.DataFrame, title: str, caption: str) -> bytes:
    """A PNG of :func:`fedmed.runs.cross_site_matrix.matrix`'s answer; needs no screen.

    Args:
        scored: a row a model, a column a site and last their mean; NaN is drawn as a dash.
        title: of the metric in it, such as Dice.
        caption: the figure's source, printed under it.
    """
    rows, columns = scored.shape
    figure = Figure(figsize=(3.6 + 0.72 * columns, 2.0 + 0.42 * rows), layout="constrained")
    axes = figure.subplots()
    values = scored.to_numpy(float)
    image = axes.imshow(np.ma.masked_invalid(values), cmap="viridis", aspect="auto")
    figure.colorbar(image, ax=axes, label=title, fraction=0.05, pad=0.02)
    _numbers(axes, values, image)
    _outlines(axes, scored)
    own = [name for name in scored.index if name in scored.columns]
    titles = [f"own model of {name}" if name in own else f"{name} model" for name in scored.index]
    axes.set_yticks(range(rows), titles, fontsize=9)
    axes.set_xticks(range(columns), [str(name) for name in scored.columns], fontsize=9, rotation=30, ha="right")
    axes.axvline(columns - 1.5, color="white", linewidth=4)  # the mean is no site
    axes.set_title(f"{title} of each model (row) at each site (column)", fontsize=10)
    figure.supxlabel(caption, fontsize=8, color="0.35")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _numbers(axes: Axes, values: np.ndarray, image: AxesImage) -> None:
    for (row, column), value in np.ndenumerate(values):
        known = np.isfinite(value)
        dark = known and np.dot(image.to_rgba(value)[:3], (0.299, 0.587, 0.114)) < 0.5
        text = f"{value:.3f}" if known else "-"
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color="white" if dark else "black")


def _outlines(axes: Axes, scored: pd.DataFrame) -> None:
    """Round the cell of each site's own model at that site."""
    columns = [str(name) for name in scored.columns]
    for row, name in enumerate(scored.index):
        if name in columns and name != MEAN:
            corner = columns.index(name) - 0.5, row - 0.5
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=OUTLINE, linewidth=2.5, zorder=3))
