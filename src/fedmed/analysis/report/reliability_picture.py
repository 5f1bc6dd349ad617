"""The reliability diagram: how often what a model is so sure of is so."""

from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fedmed.tasks.base import Row
from fedmed.tasks.scoring.classification_metrics import (
    BINS,
    SCORE,
    by_target,
    calibration_error,
    confidence_bins,
    decisions,
)
from fedmed.tasks.scoring.multi_label_metrics import finding_calibration_error

BAR, EXPECTED = "#0072b2", "#d55e00"


class DiagramWords(NamedTuple):
    """The texts of a diagram: its axes, its bars and marks, what is counted, and the share of those that are so."""

    share: str
    mean: str
    diagonal: str
    counted: str
    axis: str
    so: str


OF_DECISIONS = DiagramWords(
    "share of right decisions",
    "mean confidence",
    "as confident as right",
    "decisions",
    "confidence: probability of the decided class",
    "right",
)
OF_FINDINGS = DiagramWords(
    "share that is present",
    "mean probability",
    "as probable as frequent",
    "probabilities",
    "probability of a finding",
    "present",
)


def reliability_picture(rows: Sequence[Row]) -> bytes:
    """A PNG of the calibration of a model's decisions; needs no screen.

    Above, in each bin of confidence that has a decision, the share of right ones, which of a calibrated model lies at
    their mean confidence; below, the share of all decisions in the bin. The bins are those of the calibration error.

    Args:
        rows: the quantities score, predicted and truth, of at least one decision.
    """
    _, confidence, right = decisions(rows)
    return _diagram(confidence, right, calibration_error(rows), OF_DECISIONS)


def finding_reliability_picture(rows: Sequence[Row]) -> bytes:
    """A PNG of the calibration of the probabilities of all cases and findings, as :func:`reliability_picture`.

    The calibration error is the mean of the findings', as in the table of scores.

    Args:
        rows: the quantities score and truth, of at least one finding whose truth is known.
    """
    pairs = by_target(rows, SCORE).values()
    scores, present = (np.concatenate(each) for each in zip(*pairs, strict=True))
    return _diagram(scores, present, finding_calibration_error(rows), OF_FINDINGS)


def _diagram(confidence: NDArray[np.float64], right: NDArray[np.float64], error: float, words: DiagramWords) -> bytes:
    bins = confidence_bins(confidence)
    count = np.bincount(bins, minlength=BINS)
    known = count > 0
    middle = (np.arange(BINS) + 0.5) / BINS
    shares, means = (np.bincount(bins, each, BINS)[known] / count[known] for each in (right, confidence))
    figure = Figure(figsize=(4.6, 5.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color="0.6", linestyle=":", label=words.diagonal)
    above.bar(middle[known], shares, 0.9 / BINS, color=BAR, label=words.share)
    above.plot(means, means, linestyle="", marker="_", color=EXPECTED, markersize=9, markeredgewidth=2,
        label=words.mean)  # fmt: skip
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel=words.share)
    above.set_title(
        f"{len(right)} {words.counted}, {right.mean():.1%} {words.so}\n{words.mean} {confidence.mean():.1%}, "
        f"calibration error {error:.4f} ({BINS} bins)",
        fontsize=9,
    )  # fmt: skip
    above.legend(fontsize=8, loc="upper left")
    below.bar(middle, count / count.sum(), 0.9 / BINS, color="0.6")
    below.set(xlabel=words.axis, ylabel=f"share of\n{words.counted}")
    for axes in (above, below):
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
