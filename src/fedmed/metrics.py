"""Region Dice, and the two rules by which it is averaged. Pure functions."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
"""The metric by which a site says how many cases it scored."""

VALUES = "_values"
"""Added to a metric's name: of how many values a site's figure is the mean."""


def reported(means: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """What a site tells of the values of each metric: their mean without NaN, and of how many; nothing of none."""
    told: dict[str, float] = {}
    for name, values in means.items():
        mean = mean_of_values(values)
        if mean is not None:
            told |= {name: mean, name + VALUES: sum(not math.isnan(value) for value in values)}
    return told


def weight_of(report: Mapping[str, Any], metric: str) -> Any:
    """What a site's figure counts for among the sites: its values, where it tells them not its cases, else 1.

    Weighted by values, the mean over sites is the mean over all their values, whoever scored which case.
    """
    return report.get(metric + VALUES, report.get(CASES, 1) if metric.startswith("val_") else 1)


def mean_over_sites(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Each metric's mean over the sites that have it, weighted by :func:`weight_of`.

    Args:
        scores: metrics by site.
    """
    names = {name for site in scores.values() for name in site if name != CASES and not name.endswith(VALUES)}
    pairs = {name: [(s[name], weight_of(s, name)) for s in scores.values() if name in s] for name in names}
    return {name: _weighted_mean(each) for name, each in pairs.items() if any(weight for _, weight in each)}


def _weighted_mean(pairs: Sequence[tuple[float, float]]) -> float:
    return sum(value * weight for value, weight in pairs) / sum(weight for _, weight in pairs)
