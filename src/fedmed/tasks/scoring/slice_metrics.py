"""The rows of one target in a patient's slices, for the figures of ``slice_catalogue``. Pure functions."""

import math

import torch

from fedmed.core.site_scores import mean_of_values
from fedmed.tasks.scoring.classification_metrics import SCORE, TRUTH
from fedmed.tasks.scoring.metric import Row
from fedmed.tasks.scoring.region_dice import challenge_dice, region_dice
from fedmed.tasks.scoring.surface_metrics import hd95

THRESHOLD = 0.5
"""A pixel whose probability is above this is predicted to be of the target."""


def overlap_rows(case: str, target: str, probability: torch.Tensor, truth: torch.Tensor) -> list[Row]:
    """Rows for all of ``SLICE_METRICS`` but the distances, which take longest.

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
