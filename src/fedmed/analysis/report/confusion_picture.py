"""The picture of confusion matrices: counts and their shares of the true class, of all cases and by site."""

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from fedmed.data.planes import drawable

MOST_ACROSS = 3
"""Matrices in a row of the picture."""

LONG = 14
"""Characters of a class's name from which on the names of columns are written aslant."""


def confusion_picture(matrices: Mapping[str, NDArray[np.int64]], classes: Sequence[str]) -> bytes:
    """A PNG with a matrix a group of cases; needs no screen.

    A cell holds the number of cases and its share of the row, which is its colour. A row without a case is empty.

    Args:
        matrices: (K, K) by the group's name; a row a true, a column a decided class.
        classes: (K,) names.
    """
    across = min(math.ceil(math.sqrt(len(matrices))), MOST_ACROSS)
    down = math.ceil(len(matrices) / across)
    edge = 1.5 + 0.72 * len(classes)
    figure = Figure(figsize=(max(4.4, (edge + 0.4) * across + 0.8), edge * down + 0.2), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    drawn = [
        _draw(axes, name, matrix, classes) for axes, (name, matrix) in zip(grid.flat, matrices.items(), strict=False)
    ]
    for axes in grid.flat[len(matrices) :]:
        axes.set_axis_off()
    for row in grid:
        row[0].set_ylabel("truth")
        row[0].set_yticks(range(len(classes)), [drawable(name) for name in classes], fontsize=8)
    figure.colorbar(drawn[0], ax=grid, label="share of the true class's cases", shrink=0.9, pad=0.02)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _draw(axes: Axes, name: str, matrix: NDArray[np.int64], classes: Sequence[str]) -> AxesImage:
    of_class = matrix.sum(axis=1, keepdims=True)
    shares = np.where(of_class > 0, matrix / np.maximum(of_class, 1), np.nan)
    image = axes.imshow(np.ma.masked_invalid(shares), cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        text = "-" if np.isnan(share) else f"{matrix[row, column]}\n{share:.0%}"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if share > 0.5 else "black")
    aslant = max(map(len, classes)) >= LONG or len(classes) > 5
    style: dict[str, Any] = {"rotation": 35, "ha": "right"} if aslant else {}
    axes.set_xticks(range(len(classes)), [drawable(each) for each in classes], fontsize=8, **style)
    axes.set_yticks([])
    axes.set_xlabel("decision")
    axes.set_title(drawable(f"{name}, {int(matrix.sum())} cases"), fontsize=9, parse_math=False)
    return image
