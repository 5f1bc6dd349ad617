"""Slices of a patient with the outlines of the truth and of the prediction, the slice with most tumour among them."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray

Masks = NDArray[np.bool_]

SHOWN = 8
"""Slices of a picture at most, four in a row."""

TRUTH, PREDICTION = "#009e73", "#e69f00"
"""Colours that also people who see no red or green tell apart."""


def slices_picture(image: NDArray[np.float32], truth: Masks, predicted: Masks) -> bytes:
    """A PNG of some slices in their order, each with outlines of both masks and its number from 1.

    Args:
        image: the background (S, H, W), rows from top to bottom.
        truth: bool, of the same shape.
        predicted: bool, of the same shape.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    places = chosen_slices(truth, predicted)
    columns = min(4, len(places))
    rows = -(-len(places) // columns)
    figure = Figure(figsize=(2.4 * max(columns, 2), 2.5 * rows + 0.4), layout="constrained")
    low, high = np.percentile(image, (0.5, 99.5))
    for number, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_axis_off()
        if number >= len(places):
            continue
        place = places[number]
        axes.imshow(image[place], cmap="gray", vmin=low, vmax=high)
        for masks, colour in ((truth, TRUTH), (predicted, PREDICTION)):
            if masks[place].any() and not masks[place].all():
                axes.contour(masks[place], levels=[0.5], colors=[colour], linewidths=1.2)
        axes.set_title(f"slice {place + 1}", fontsize=8)
    handles = [Patch(color=TRUTH, label="truth"), Patch(color=PREDICTION, label="prediction")]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, fontsize=9, frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def chosen_slices(truth: Masks, predicted: Masks) -> list[int]:
    """The places of at most :data:`SHOWN` slices, rising.

    The slice with most of the truth, or of the prediction where the truth is empty, and others spread evenly over those
    that have any; the middle slice where none has. Arguments as of :func:`slices_picture`.
    """
    areas = np.count_nonzero(truth if truth.any() else predicted, axis=(1, 2))
    if not areas.any():
        return [len(truth) // 2]
    held = np.flatnonzero((truth | predicted).any(axis=(1, 2)))
    spread = held[np.linspace(0, len(held) - 1, min(len(held), SHOWN)).round().astype(int)]
    largest = int(areas.argmax())
    nearest = int(np.abs(spread - largest).argmin())
    spread[nearest] = largest
    return [int(place) for place in sorted(set(spread.tolist()))]
