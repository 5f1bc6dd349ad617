"""The reliability diagram: the share of right decisions beside the confidence with which they were made."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from matplotlib.figure import Figure

from fedmed.tasks.base import Row
from fedmed.tasks.scoring.classification_metrics import BINS, calibration_error, confidence_bins, decisions

BAR, EXPECTED = "#0072b2", "#d55e00"


def reliability_picture(rows: Sequence[Row]) -> bytes:
    """A PNG of the calibration of a model's decisions; needs no screen.

    Above, in each bin of confidence that has a decision, the share of right ones, which of a calibrated model lies at
    their mean confidence; below, the share of all decisions in the bin. The bins are those of the calibration error.

    Args:
        rows: the quantities score, predicted and truth, of at least one decision.
    """
    _, confidence, right = decisions(rows)
    bins = confidence_bins(confidence)
    count = np.bincount(bins, minlength=BINS)
    known = count > 0
    middle = (np.arange(BINS) + 0.5) / BINS
    shares, means = (np.bincount(bins, each, BINS)[known] / count[known] for each in (right, confidence))
    figure = Figure(figsize=(4.6, 5.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color="0.6", linestyle=":", label="as confident as right")
    above.bar(middle[known], shares, 0.9 / BINS, color=BAR, label="share of right decisions")
    above.plot(means, means, linestyle="", marker="_", color=EXPECTED, markersize=9, markeredgewidth=2,
        label="mean confidence")  # fmt: skip
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of right decisions")
    above.set_title(
        f"{len(right)} decisions, {right.mean():.1%} right at a mean confidence of {confidence.mean():.1%}\n"
        f"expected calibration error {calibration_error(rows):.4f} in {BINS} bins",
        fontsize=9,
    )  # fmt: skip
    above.legend(fontsize=8, loc="upper left")
    below.bar(middle, count / count.sum(), 0.9 / BINS, color="0.6")
    below.set(xlabel="confidence: probability of the decided class", ylabel="share of\ndecisions")
    for axes in (above, below):
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
