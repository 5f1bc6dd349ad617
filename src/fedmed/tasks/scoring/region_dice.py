"""Dice by the published rule and by the challenge's. Pure functions, in 2D and 3D."""

import torch
from monai.metrics import compute_dice


def region_dice(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Dice by the published rule: 2|P n T| / (|P| + |T|), NaN where the truth is empty.

    Args:
        predicted: binary (B, C, ...), a channel a target.
        truth: binary, of the same shape.

    Returns:
        (B, C), each in [0, 1] or NaN. The published recipe drops the NaN from its mean.
    """
    return compute_dice(predicted, truth, include_background=True, ignore_empty=True)


def challenge_dice(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Dice by the BraTS challenge's rule: as :func:`region_dice`, but where the truth is empty 1 if the
    prediction is empty too and 0 if it is not. Shapes as there; never NaN."""
    return compute_dice(predicted, truth, include_background=True, ignore_empty=False)
