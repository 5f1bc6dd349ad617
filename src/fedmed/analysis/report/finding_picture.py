"""The picture of findings: a bar with its interval for each, beside what a model that knows nothing would have."""

import math
from collections.abc import Mapping, Sequence
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedmed.data.planes import drawable

BAR, CHANCE = "#0072b2", "#d55e00"

Interval = tuple[float, float, float]
"""A figure and its bounds; NaN bounds where there are none, NaN throughout where there is no figure."""


def finding_picture(
    estimates: Mapping[str, Mapping[str, Interval]], findings: Sequence[str], prevalence: Mapping[str, float]
) -> bytes:
    """A PNG of AUROC and average precision, finding by finding; needs no screen.

    Args:
        estimates: of each finding, by the figure's title: that of AUROC, then that of average precision.
        findings: in the order of the bars, from the top.
        prevalence: the share of cases that have each finding, which is the average precision of knowing nothing.
    """
    figure = Figure(figsize=(8.4, 1.2 + 0.3 * len(findings)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    (auroc, areas), (precision, precisions) = estimates.items()
    _draw(left, auroc, areas, findings, dict.fromkeys(findings, 0.5))
    _draw(right, precision, precisions, findings, prevalence)
    left.set_yticks(range(len(findings)), [drawable(name) for name in findings], fontsize=8)
    left.invert_yaxis()
    right.legend(fontsize=8, loc="lower right")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _draw(
    axes: Axes, title: str, found: Mapping[str, Interval], findings: Sequence[str], chance: Mapping[str, float]
) -> None:
    for place, name in enumerate(findings):
        value, low, high = found.get(name, (math.nan,) * 3)
        if math.isnan(value):
            axes.text(0.02, place, "n/a", va="center", fontsize=8, color="0.35")
            continue
        bounds = None if math.isnan(low) else [[max(0.0, value - low)], [max(0.0, high - value)]]
        axes.barh(place, value, color=BAR, height=0.7, xerr=bounds, ecolor="0.2", capsize=2)
    known = [(place, chance[name]) for place, name in enumerate(findings) if name in chance]
    axes.plot([value for _, value in known], [place for place, _ in known], linestyle="", marker="|", markersize=9,
        markeredgewidth=2, color=CHANCE, label="a model that knows nothing")  # fmt: skip
    axes.set(xlim=(0, 1))
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
