"""Figures of one target in a patient's slices: over the volume, by slice, and where it is present. Pure functions."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fedmed.core.site_scores import mean_of_values
from fedmed.tasks.scoring.classification_metrics import SCORE, TRUTH, auroc, weighted_auroc
from fedmed.tasks.scoring.metric import Metric, Row, RowsMetric
from fedmed.tasks.scoring.region_dice import challenge_dice, region_dice
from fedmed.tasks.scoring.surface_metrics import hd95

THRESHOLD = 0.5
"""A pixel whose probability is above this is predicted to be of the target."""

LONGEST_PIXELS = 1e5
"""No slice is as large as that."""


def presence_auroc(rows: Sequence[Row]) -> float:
    """The area under the ROC curve of the target's presence over all slices of all cases, each slice a target of rows.

    NaN where every slice has the target, or none has.
    """
    return auroc(_of_one_target(rows))


def weighted_presence_auroc(rows: Sequence[Row], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """:func:`presence_auroc` of many draws of the rows, (draws,); ``weights`` (draws, rows) says how often each is in.

    The rows of a slice have the same weight.
    """
    return weighted_auroc(_of_one_target(rows), weights)


def _of_one_target(rows: Sequence[Row]) -> list[Row]:
    """The rows of slices as those of as many cases of one target."""
    return [row._replace(case=f"{row.target} of {row.case}", target="") for row in rows]


SLICE_METRICS = (
    Metric("dice", "Dice", "", "higher"),
    Metric("slice_dice", "Dice by slice", "", "higher"),
    RowsMetric(
        *("presence_auroc", "AUROC of presence by slice", "", "higher", (SCORE, TRUTH)),
        by_target=False,
        figure=presence_auroc,
        weighted=weighted_presence_auroc,
    ),
    Metric("slice_hd95", "HD95 by slice", "pixels", "lower", bounds=(0.0, LONGEST_PIXELS)),
)
"""Of slices in which a target is segmented, the best model by the Dice over the volume."""

SLICE_NOTES = (
    "Dice is that of a patient's whole volume, without a value where the truth is empty.",
    "Dice by slice is a patient's mean over the slices that have tumour in the truth or in the prediction.",
    "AUROC of presence tells slices with tumour from those without by the highest probability in the slice, over the "
    "slices of all patients.",
    "HD95 by slice is a patient's mean over the slices whose truth has tumour, in pixels of the prepared slice and in "
    "its plane alone, as nothing states the distance of slices; one that is missed counts as the slice's diagonal.",
)
"""The rules of :data:`SLICE_METRICS`, for the end of a table."""


def overlap_rows(case: str, target: str, probability: torch.Tensor, truth: torch.Tensor) -> list[Row]:
    """Rows for all of :data:`SLICE_METRICS` but the distances, which take longest.

    Args:
        case: the patient's.
        target: that is segmented.
        probability: (S, H, W).
        truth: bool, of the same shape.
    """
    predicted = probability > THRESHOLD
    volume = float(region_dice(predicted[None, None], truth[None, None]))
    rows = [Row(case, target, "dice", volume), Row(case, target, "slice_dice", _slice_dice(predicted, truth))]
    peaks, present = probability.flatten(1).amax(dim=1).tolist(), truth.flatten(1).any(dim=1).tolist()
    for number, (peak, there) in enumerate(zip(peaks, present, strict=True), start=1):
        rows += [Row(case, f"slice {number}", SCORE, peak), Row(case, f"slice {number}", TRUTH, float(there))]
    return rows


def distance_row(case: str, target: str, probability: torch.Tensor, truth: torch.Tensor) -> Row:
    """The row ``slice_hd95``: the mean over slices with the target in the truth; NaN where none has. In pixels.

    A slice in which nothing is predicted counts as its diagonal. Arguments as of :func:`overlap_rows`.
    """
    distances = hd95(probability > THRESHOLD, truth, missed=math.hypot(*truth.shape[1:])).tolist()
    mean = mean_of_values(distances)
    return Row(case, target, "slice_hd95", math.nan if mean is None else mean)


def _slice_dice(predicted: torch.Tensor, truth: torch.Tensor) -> float:
    """The mean Dice of the slices that have the target in the truth or the prediction; NaN where none has."""
    shown = (predicted | truth).flatten(1).any(dim=1)
    if not shown.any():
        return math.nan
    return float(challenge_dice(predicted[shown, None], truth[shown, None]).mean())
