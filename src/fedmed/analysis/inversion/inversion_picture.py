"""The picture of an inversion: each modality of the truth and of every attempt, of volumes a slice."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedmed.analysis.inversion.exposure import Exposure

MOST_MODALITIES = 4
"""Modalities in a picture at most."""


def picture(exposure: Exposure, modalities: Sequence[str], caption: str) -> bytes:
    """A PNG with a row a modality and a column an attempt, after the truth's; needs no screen.

    Slices of volumes are axial, through the middle of the crop. All of a row have the truth's grey scale.

    Args:
        modalities: names of the channels.
        caption: the origin of the figure, printed under it.
    """
    columns = [("truth\n", exposure.image, "")]
    for each in exposure.attempts:
        measured = f"PSNR {each.psnr:.1f} dB\ncorrelation {each.correlation:.2f}"
        columns.append((f"{each.observed.replace('_', ' ')}\n{each.protection}", each.image, measured))
    rows = min(MOST_MODALITIES, len(modalities))
    figure = Figure(figsize=(1.75 * len(columns), 1.6 * rows + 1.3), layout="constrained")
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for place, (title, image, below) in enumerate(columns):
        axes[0, place].set_title(title, fontsize=9)
        for row in range(rows):
            _draw(axes[row, place], image[0, row], exposure.image[0, row])
        axes[-1, place].set_xlabel(below, fontsize=9)
    for row, name in enumerate(modalities[:rows]):
        axes[row, 0].set_ylabel(name, fontsize=9)
    figure.supxlabel(caption, fontsize=8, color="0.35")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _draw(axes: Axes, found: torch.Tensor, truth: torch.Tensor) -> None:
    low, high = (float(value) for value in np.percentile(truth.numpy(), (0.5, 99.5)))
    shown = found[..., found.shape[-1] // 2].T if found.ndim == 3 else found
    axes.imshow(shown.numpy(), cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
    axes.set_xticks([])
    axes.set_yticks([])
