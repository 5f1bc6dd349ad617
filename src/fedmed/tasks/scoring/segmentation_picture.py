"""A case's truth and prediction of a 3D segmentation side by side, in three planes through its target."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedmed.data.planes import PLANES, Plane, add_letters, largest_slice, seen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Mask = NDArray[np.bool_]
Volume = NDArray[np.float32]
OPACITY = 0.6


class Layer(NamedTuple):
    """One colour of a picture."""

    channel: int  # of the masks
    title: str
    colour: str


def segmentation_picture(image: Volume, truth: Mask, predicted: Mask, layers: Sequence[Layer], shown: int = 0) -> bytes:
    """A PNG with the truth above and the prediction below, through the slices with most of one target.

    Args:
        image: the background (X, Y, Z), with axes to the right, to the front and up, in voxels of 1 mm; 0 is no tissue.
        truth: bool (C, X, Y, Z), a channel a target.
        predicted: of the same shape.
        layers: painted one over the other, in this order.
        shown: the channel through whose largest slices the planes go.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    target = truth[shown] if truth[shown].any() else predicted[shown]
    figure = Figure(figsize=(8.4, 6.2), layout="constrained")
    axes = figure.subplots(2, len(PLANES))
    for row, (title, masks) in zip(axes, (("truth", truth), ("prediction", predicted)), strict=True):
        for each, plane in zip(row, PLANES, strict=True):
            _draw(each, plane, image, masks, layers, largest_slice(target, plane.axis))
        row[0].set_ylabel(title, fontsize=11)
    for each, plane in zip(axes[0], PLANES, strict=True):
        each.set_title(plane.name, fontsize=10)
    figure.legend(
        handles=[Patch(color=layer.colour, label=layer.title) for layer in layers],
        loc="outside upper center", ncols=len(layers), fontsize=9, frameon=False,
    )  # fmt: skip
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _draw(axes: Axes, plane: Plane, image: Volume, masks: Mask, layers: Sequence[Layer], place: int) -> None:
    from matplotlib.colors import to_rgba

    tissue = image[image != 0]
    low, high = np.percentile(tissue, (0.5, 99.5)) if tissue.size else (0.0, 1.0)
    shown = np.where(image == 0, low, image)  # the background of a normalised image lies in the middle of its tissue
    axes.imshow(seen(shown, plane.axis, place), cmap="gray", vmin=low, vmax=high)
    painted = np.zeros((*seen(masks[0], plane.axis, place).shape, 4))
    for layer in layers:
        painted[seen(masks[layer.channel], plane.axis, place)] = to_rgba(layer.colour, OPACITY)
    axes.imshow(painted)
    add_letters(axes, plane)
