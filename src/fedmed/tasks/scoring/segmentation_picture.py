"""A case's truth and prediction side by side, in three planes through the tumour."""

from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from fedmed.data.brats.case_picture import PARTS
from fedmed.data.planes import PLANES, Plane, add_letters, largest_slice, seen

Mask = NDArray[np.bool_]
Volume = NDArray[np.float32]
OPACITY = 0.6


def segmentation_picture(image: Volume, truth: Mask, predicted: Mask) -> bytes:
    """A PNG with the truth above and the prediction below, through the slices with most of the tumour.

    Args:
        image: the background (X, Y, Z), with axes to the right, to the front and up, in voxels of 1 mm; 0 is no tissue.
        truth: (3, X, Y, Z), the regions TC, WT and ET.
        predicted: of the same shape.
    """
    tumour = truth[1] if truth[1].any() else predicted[1]
    figure = Figure(figsize=(8.4, 6.2), layout="constrained")
    axes = figure.subplots(2, len(PLANES))
    for row, (title, regions) in zip(axes, (("truth", truth), ("prediction", predicted)), strict=True):
        for each, plane in zip(row, PLANES, strict=True):
            _draw(each, plane, image, regions, largest_slice(tumour, plane.axis))
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


def _draw(axes: Axes, plane: Plane, image: Volume, regions: Mask, place: int) -> None:
    tissue = image[image != 0]
    low, high = np.percentile(tissue, (0.5, 99.5)) if tissue.size else (0.0, 1.0)
    shown = np.where(image == 0, low, image)  # the background of a normalised image lies in the middle of its tissue
    axes.imshow(seen(shown, plane.axis, place), cmap="gray", vmin=low, vmax=high)
    core, whole, enhancing = (seen(region, plane.axis, place) for region in regions)
    painted = np.zeros((*whole.shape, 4))
    for where, part in ((whole, "oedema"), (core, "necrosis"), (enhancing, "enhancing")):
        painted[where] = to_rgba(PARTS[part], OPACITY)
    axes.imshow(painted)
    add_letters(axes, plane)
