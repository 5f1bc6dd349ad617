"""All figures of a case's segmentation, by target. Pure functions, in 2D and 3D."""

import torch

from fedmed.tasks.scoring.lesion_metrics import LesionScores, lesion_scores
from fedmed.tasks.scoring.metric_catalogue import SEGMENTATION_METRICS
from fedmed.tasks.scoring.region_dice import challenge_dice, region_dice
from fedmed.tasks.scoring.surface_metrics import (
    Spacing,
    challenge_hd95,
    challenge_surface_dice,
    element_mm3,
    hd95,
    surface_dice,
)

MM3_IN_ML = 1000


def case_metrics(predicted: torch.Tensor, truth: torch.Tensor, spacing: Spacing = 1.0) -> dict[str, list[float]]:
    """Each of ``SEGMENTATION_METRICS`` for each target.

    Dice, HD95 and surface Dice come by two rules. The published one has no value, NaN, where the truth is empty; the
    challenge's counts such a target as perfect if the prediction is empty too, and else as a miss. The volume error is
    the predicted volume less the true one.

    Args:
        predicted: bool (C, X, Y, Z), a channel a target; (C, H, W) has areas in place of volumes, as if 1 mm thick.
        truth: bool, of the same shape.
        spacing: in mm.
    """
    values = organ_metrics(predicted, truth, spacing)
    values["challenge_dice"] = challenge_dice(predicted[None], truth[None])[0].tolist()
    for rule in (challenge_hd95, challenge_surface_dice):
        values[rule.__name__] = rule(predicted, truth, spacing).tolist()
    values |= _by_lesion(predicted, truth, spacing)
    return {metric.name: values[metric.name] for metric in SEGMENTATION_METRICS}


def organ_metrics(predicted: torch.Tensor, truth: torch.Tensor, spacing: Spacing = 1.0) -> dict[str, list[float]]:
    """Each of ``ORGAN_METRICS`` for each target, by the published rule. Arguments as of :func:`case_metrics`."""
    values: dict[str, list[float]] = {"dice": region_dice(predicted[None], truth[None])[0].tolist()}
    values |= {rule.__name__: rule(predicted, truth, spacing).tolist() for rule in (hd95, surface_dice)}
    each = element_mm3(spacing, predicted.ndim - 1)
    volume, found = (mask.flatten(1).sum(dim=1).double() * each / MM3_IN_ML for mask in (truth, predicted))
    values |= {"volume": volume.tolist(), "predicted_volume": found.tolist()}
    error = found - volume
    return values | {"volume_error": error.tolist(), "absolute_volume_error": error.abs().tolist()}


def _by_lesion(predicted: torch.Tensor, truth: torch.Tensor, spacing: Spacing) -> dict[str, list[float]]:
    pairs = zip(predicted.cpu().numpy(), truth.cpu().numpy(), strict=True)
    scores: list[LesionScores] = [lesion_scores(p, t, spacing) for p, t in pairs]
    return {
        "lesion_dice": [each.dice for each in scores],
        "lesion_hd95": [each.hd95_mm for each in scores],
        "lesions": [float(each.lesions) for each in scores],
        "lesions_missed": [float(each.missed) for each in scores],
        "lesions_false": [float(each.false) for each in scores],
    }
