"""The picture of a tumour in slices: the slice with most of it, and beside it a montage of the volume."""

import math
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedmed.analysis.prediction.origin import NOTICE
from fedmed.analysis.prediction.slice_prediction import SlicePrediction
from fedmed.core.errors import counted
from fedmed.data.lgg.head_volume import CHANNELS, FLAIR
from fedmed.data.planes import drawable

COLUMNS, ROWS = 5, 4
"""Of the montage at most."""

COLOUR = "#e69f00"
"""Okabe and Ito's orange, which the colour-blind tell from grey."""


def slice_overlay(prediction: SlicePrediction, caption: str) -> bytes:
    """A PNG with the outline of the tumour on FLAIR; needs no screen.

    The montage has all slices, or of many an even choice with the one that has most tumour among them.

    Args:
        caption: a line for below the picture: the model.
    """
    shown = chosen(len(prediction.scan.files), prediction.largest)
    columns = min(COLUMNS, math.ceil(len(shown) ** 0.5))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(5 + 6 * columns / COLUMNS, 5.4), layout="constrained", facecolor="black")
    large, montage = figure.subfigures(1, 2, squeeze=False, width_ratios=(5, 6 * columns / COLUMNS))[0]
    for each in (large, montage):
        each.set_facecolor("black")
    _draw(large.subplots(), prediction, prediction.largest, 9)
    for number, axes in enumerate(montage.subplots(rows, columns, squeeze=False).flat):
        if number < len(shown):
            _draw(axes, prediction, shown[number], 6)
        else:
            axes.set_axis_off()
    figure.suptitle(drawable(f"{prediction.scan.name}: {_size(prediction)}"), color="w", fontsize=11, parse_math=False)
    figure.supxlabel(drawable(f"{caption}\n{NOTICE}"), fontsize=7, color="0.7", parse_math=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def chosen(slices: int, largest: int) -> list[int]:
    """The places of at most ``COLUMNS * ROWS`` slices, rising; ``largest`` is among them."""
    most = COLUMNS * ROWS
    spread = np.unique(np.linspace(0, slices - 1, min(slices, most)).round().astype(int))
    spread[np.abs(spread - largest).argmin()] = largest
    return [int(place) for place in spread]


def _draw(axes: Axes, prediction: SlicePrediction, place: int, size: float) -> None:
    flair = prediction.scan.pixels[FLAIR]
    aspect = 1.0 if prediction.spacing is None else prediction.spacing[1] / prediction.spacing[0]
    axes.imshow(flair[place], cmap="gray", vmin=0, vmax=float(np.percentile(flair, 99.8)) or 1.0, aspect=aspect)
    mask = prediction.tumour[place]
    if mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors=[COLOUR], linewidths=size / 6)
    axes.set_axis_off()
    number = f"{CHANNELS[FLAIR]}, slice {place + 1} of {len(flair)}" if size > 6 else str(place + 1)
    axes.set_title(number, fontsize=size, color="w", pad=2)


def _size(prediction: SlicePrediction) -> str:
    slices = counted(sum(map(bool, prediction.pixels)), "slice")
    if not sum(prediction.pixels):
        return "no tumour found"
    amount = f"{sum(prediction.pixels)} pixels" if prediction.ml is None else f"{prediction.ml:.1f} ml"
    return f"{amount} of tumour in {slices}"
