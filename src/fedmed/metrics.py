"""Region Dice, and the two rules by which it is averaged. Pure functions."""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from monai.metrics import compute_dice


def region_dice(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Dice by the published rule: 2|P n T| / (|P| + |T|), NaN where the truth is empty.

    Args:
        predicted: binary (B, C, ...), a channel a region.
        truth: binary, of the same shape.

    Returns:
        (B, C), each in [0, 1] or NaN. The published recipe drops the NaN from its mean.
    """
    return compute_dice(predicted, truth, include_background=True, ignore_empty=True)


def challenge_dice(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Dice by the BraTS challenge's rule: as :func:`region_dice`, but where the truth is empty 1 if the
    prediction is empty too and 0 if it is not. Shapes as there; never NaN."""
    return compute_dice(predicted, truth, include_background=True, ignore_empty=False)


def mean_of_values(values: Iterable[float]) -> float | None:
    """The mean of those that are not NaN; None when there is none."""
    finite = [value for value in values if not math.isnan(value)]
    return sum(finite) / len(finite) if finite else None


CASES = "val_cases"
"""The metric by which a site says of how many cases its scores are the mean."""


def mean_over_sites(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Each metric's mean over the sites that have it, weighted by their validation cases.

    Args:
        scores: metrics by site.
    """
    names = {name for site in scores.values() for name in site if name != CASES}
    return {name: _weighted_mean([(s[name], s.get(CASES, 1)) for s in scores.values() if name in s]) for name in names}


def _weighted_mean(pairs: Sequence[tuple[float, float]]) -> float:
    return sum(value * weight for value, weight in pairs) / sum(weight for _, weight in pairs)
