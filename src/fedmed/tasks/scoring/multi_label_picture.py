"""An image beside the probability that a model gives each of its findings."""

from collections.abc import Collection, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmed.data.planes import drawable
from fedmed.tasks.scoring.classification_picture import OTHER, RIGHT, displayed

MARK = " (present)"
"""Behind the name of a finding that the truth has; its bar has a colour of its own too."""


def multi_label_picture(
    image: NDArray[Any], truth: Sequence[float], probabilities: Sequence[float], findings: Sequence[str]
) -> bytes:
    """A PNG of a case: its image, and a bar a finding, with those that the truth has marked. Needs no screen.

    Args:
        image: (C, H, W) or (H, W), of any range, rows from top to bottom.
        truth: (K,) 1, 0, or NaN where it is not known.
        probabilities: (K,), in the order of ``findings``.
        findings: (K,) names.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 1.2 + 0.22 * len(findings)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.2))
    left.imshow(displayed(image), cmap="gray", vmin=0, vmax=1)
    left.set(xticks=[], yticks=[])
    present = [name for name, value in zip(findings, truth, strict=True) if value == 1]
    _draw_bars(right, probabilities, findings, present)
    highest = int(np.argmax(probabilities))
    title = f"{', '.join(present) or 'no finding'}; most probable {findings[highest]} ({probabilities[highest]:.1%})"
    figure.suptitle(drawable(title), fontsize=10, parse_math=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _draw_bars(axes: Any, probabilities: Sequence[float], findings: Sequence[str], present: Collection[str]) -> None:
    places = range(len(findings))
    axes.barh(places, probabilities, color=[RIGHT if name in present else OTHER for name in findings])
    axes.set(xlim=(0, 1), xlabel="probability")
    axes.invert_yaxis()
    axes.set_yticks(places, [drawable(name) + (MARK if name in present else "") for name in findings], fontsize=8)
    for place, value in enumerate(probabilities):
        inside = value > 0.85
        style: dict[str, Any] = {"ha": "right", "color": "white"} if inside else {"ha": "left", "color": "black"}
        axes.text(value + (-0.02 if inside else 0.02), place, f"{value:.2f}", va="center", fontsize=7, **style)
    axes.spines[["top", "right"]].set_visible(False)
