"""An image beside the probabilities that a model gives its classes."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmed.data.planes import drawable

RIGHT, WRONG, OTHER = "#009e73", "#d55e00", "#999999"
"""Colours of the decision where it is right and where it is wrong, and of the classes beside it; of Okabe and Ito."""


def classification_picture(
    image: NDArray[Any], truth: int, probabilities: Sequence[float], classes: Sequence[str]
) -> bytes:
    """A PNG of a case: its image, and a bar a class, with the truth marked and the decision coloured.

    Args:
        image: (C, H, W) or (H, W), of any range, rows from top to bottom.
        truth: the number of the case's class, 0 to K - 1.
        probabilities: (K,), in the order of ``classes``.
        classes: (K,) names.
    """
    from matplotlib.figure import Figure

    decided = int(np.argmax(probabilities))
    figure = Figure(figsize=(6.4, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.2))
    left.imshow(displayed(image), cmap="gray", vmin=0, vmax=1)
    left.set(xticks=[], yticks=[])
    places = range(len(classes))
    colours = [(RIGHT if decided == truth else WRONG) if place == decided else OTHER for place in places]
    right.barh(places, probabilities, color=colours)
    right.set(xlim=(0, 1), xlabel="probability")
    right.invert_yaxis()
    right.set_yticks(places, [drawable(name) + (" (truth)" if n == truth else "") for n, name in enumerate(classes)])
    for place, value in enumerate(probabilities):
        inside = value > 0.8
        right.text(
            value + (-0.02 if inside else 0.02), place, f"{value:.2f}", va="center", ha="right" if inside else "left",
            color="white" if inside else "black", fontsize=9,
        )  # fmt: skip
    right.spines[["top", "right"]].set_visible(False)
    title = f"truth {classes[truth]}, predicted {classes[decided]} ({probabilities[decided]:.1%})"
    figure.suptitle(drawable(title), fontsize=10, parse_math=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def displayed(image: NDArray[Any]) -> NDArray[np.float32]:
    """An image that a network sees, for the screen: (H, W), or (H, W, 3) where it has three channels, 0 to 1.

    Each channel is stretched over its own range, which undoes a normalisation by channel; of other numbers of channels
    the first is taken.

    Args:
        image: (C, H, W) or (H, W).
    """
    channels = np.asarray(image, dtype=np.float32)
    channels = channels[None] if channels.ndim == 2 else channels
    shown = channels if len(channels) == 3 else channels[:1]
    low, high = (each(shown, axis=(1, 2), keepdims=True) for each in (np.min, np.max))
    stretched: NDArray[np.float32] = (shown - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    return stretched[0] if len(stretched) == 1 else np.moveaxis(stretched, 0, -1)
