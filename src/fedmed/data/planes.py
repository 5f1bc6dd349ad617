"""The three planes in which radiologists look at a volume, with the letters at their edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Plane(NamedTuple):
    """A plane. ``axis`` is the one across it, of right, anterior and superior; the letters name the sides."""

    name: str
    axis: int
    left: str
    right: str
    top: str
    bottom: str


PLANES = (
    Plane("axial", 2, "R", "L", "A", "P"),
    Plane("coronal", 1, "R", "L", "S", "I"),
    Plane("sagittal", 0, "A", "P", "S", "I"),
)

EDGES = ((0.02, 0.5, "left", "center"), (0.98, 0.5, "right", "center"), (0.5, 0.98, "center", "top"),
         (0.5, 0.02, "center", "bottom"))  # fmt: skip
"""The places of a plane's letters, in shares of its size, and their alignment: left, right, top, bottom."""


def seen(volume: NDArray, axis: int, place: int) -> NDArray:
    """A slice across an axis of a volume (X, Y, Z, ...), with axes to the right, front and up, as radiologists view it.

    Rows run from the front to the back, or from above to below; columns from right to left, or from the front.
    """
    return np.take(volume, place, axis=axis)[::-1, ::-1].swapaxes(0, 1)


def largest_slice(region: NDArray, axis: int) -> int:
    """The slice across an axis with most voxels that are not 0; the middle one where there are none."""
    areas = np.count_nonzero(region, axis=tuple(other for other in range(3) if other != axis))
    return int(areas.argmax()) if areas.any() else region.shape[axis] // 2


def add_letters(axes: Axes, plane: Plane) -> None:
    """Write the letters at the edges, and nothing else beside the axes."""
    axes.set(xticks=[], yticks=[])
    axes.set_facecolor("black")
    for (x, y, across, along), letter in zip(EDGES, (plane.left, plane.right, plane.top, plane.bottom), strict=True):
        axes.text(x, y, letter, transform=axes.transAxes, color="w", fontsize=9, ha=across, va=along)


def drawable(text: str) -> str:
    """Text of a path, which need not be UTF-8, as fonts can draw it."""
    return text.encode("utf-8", "replace").decode("utf-8")
