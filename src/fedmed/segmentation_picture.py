"""A case's truth and prediction side by side, in three planes through the tumour."""

from io import BytesIO
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from fedmed.data.case_picture import PARTS

Mask = NDArray[np.bool_]
Volume = NDArray[np.float32]


class Plane(NamedTuple):
    """A slice as radiologists look at it: which axis it cuts, and what lies at its left, right and top."""

    name: str
    axis: int
    left: str
    right: str
    top: str


PLANES = (
    Plane("axial", 2, "R", "L", "A"),
    Plane("coronal", 1, "R", "L", "S"),
    Plane("sagittal", 0, "A", "P", "S"),
)


def segmentation_picture(image: Volume, truth: Mask, predicted: Mask) -> bytes:
    """A PNG with the truth above and the prediction below.

    Args:
        image: the background (X, Y, Z), with axes to the right, to the front and up, in voxels of 1 mm; 0 is no tissue.
        truth: (3, X, Y, Z), the regions TC, WT and ET.
        predicted: of the same shape.
    """
    middle = _middle(truth[1] if truth[1].any() else predicted[1])
    figure = Figure(figsize=(8.4, 6.2), layout="constrained")
    axes = figure.subplots(2, len(PLANES))
    for row, (title, regions) in zip(axes, (("truth", truth), ("prediction", predicted)), strict=True):
        for each, plane in zip(row, PLANES, strict=True):
            _draw(each, plane, image, regions, middle)
        row[0].set_ylabel(title, fontsize=11)
    for each, plane in zip(axes[0], PLANES, strict=True):
        each.set_title(plane.name, fontsize=10)
    figure.legend(
        handles=[Patch(color=colour, label=part) for part, colour in PARTS.items()],
        loc="outside upper center", ncols=len(PARTS), fontsize=9, frameon=False,
    )  # fmt: skip
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _draw(axes: Axes, plane: Plane, image: Volume, regions: Mask, middle: tuple[int, int, int]) -> None:
    at = middle[plane.axis]
    tissue = image[image != 0]
    low, high = np.percentile(tissue, (0.5, 99.5)) if tissue.size else (0.0, 1.0)
    shown = np.where(image == 0, low, image)  # the background of a normalised image lies in the middle of its tissue
    axes.imshow(_seen(shown, plane, at), cmap="gray", vmin=low, vmax=high)
    core, whole, enhancing = (_seen(region, plane, at) for region in regions)
    painted = np.zeros((*whole.shape, 4))
    for where, part in ((whole, "oedema"), (core, "necrosis"), (enhancing, "enhancing")):
        painted[where] = to_rgba(PARTS[part], 0.6)
    axes.imshow(painted)
    axes.set(xticks=[], yticks=[])
    for text, x, y in ((plane.left, 0.03, 0.5), (plane.right, 0.97, 0.5), (plane.top, 0.5, 0.96)):
        axes.text(x, y, text, transform=axes.transAxes, color="white", ha="center", va="center", fontsize=8)


def _seen(volume: NDArray, plane: Plane, at: int) -> NDArray:
    """One slice with rows from the top down and columns from its left to its right."""
    slice_ = np.take(volume, at, axis=plane.axis)
    return slice_[::-1, ::-1].T  # the patient's right, or front, is on the left


def _middle(region: Mask) -> tuple[int, int, int]:
    """Where the region's largest slice of each axis lies; the volume's middle where it is empty."""
    if not region.any():
        x, y, z = (size // 2 for size in region.shape)
        return x, y, z
    others = ((1, 2), (0, 2), (0, 1))
    x, y, z = (int(region.sum(axis=axes).argmax()) for axes in others)
    return x, y, z
