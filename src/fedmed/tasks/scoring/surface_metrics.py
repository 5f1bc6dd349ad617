"""Distances between surfaces in mm, and the two rules by which an empty mask counts. Pure functions, in 2D and 3D.

MONAI measures; this module states the meaning of an empty mask.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice

warnings.filterwarnings("ignore", message=".*always_return_as_numpy")  # MONAI warns of its own call

PENALTY_MM = 373.13
"""The 95 % Hausdorff distance where only one of two masks is empty: the diagonal of 240 x 240 x 155 mm.

It is what the BraTS challenges of 2017 to 2021 counted for a region that was missed, whatever the volume's size.
"""

TOLERANCE_MM = 1.0
"""Surfaces this close count as equal in the normalised surface Dice."""

Spacing = float | Sequence[float]
"""Distance of neighbouring pixels or voxels in mm, along all axes or along each."""


def element_mm3(spacing: Spacing, axes: int) -> float:
    """The volume in mm^3 of a voxel with this spacing along each of ``axes`` axes; of a pixel the area in mm^2."""
    return math.prod([spacing] * axes if isinstance(spacing, int | float) else spacing)


def hd95(
    predicted: torch.Tensor, truth: torch.Tensor, spacing: Spacing = 1.0, missed: float = PENALTY_MM
) -> torch.Tensor:
    """The 95 % Hausdorff distance in mm: the larger of the two directions' 95th percentiles.

    Args:
        predicted: bool (C, H, W) or (C, X, Y, Z), a channel a target.
        truth: bool, of the same shape.
        spacing: in mm.
        missed: the distance where only the prediction is empty.

    Returns:
        (C,): NaN where the truth is empty.
    """
    values = [_distance(p, t, spacing) if p.any() else missed for p, t in zip(predicted, truth, strict=True)]
    return _where_there_is_truth(values, truth)


def challenge_hd95(predicted: torch.Tensor, truth: torch.Tensor, spacing: Spacing = 1.0) -> torch.Tensor:
    """The same as :func:`hd95`; where the truth is empty 0 if the prediction is empty too and ``PENALTY_MM`` if not."""
    missed = torch.where(predicted.flatten(1).any(dim=1), PENALTY_MM, 0.0).double()
    return _filled(hd95(predicted, truth, spacing), missed)


def surface_dice(predicted: torch.Tensor, truth: torch.Tensor, spacing: Spacing = 1.0) -> torch.Tensor:
    """The share of both surfaces that lies within ``TOLERANCE_MM`` of the other.

    It is the normalised surface Dice of Nikolov et al. 2018 (arXiv 1809.04430). Shapes as in :func:`hd95`; NaN where
    the truth is empty, 0 where only the prediction is.
    """
    values = [_agreement(p, t, spacing) if p.any() else 0.0 for p, t in zip(predicted, truth, strict=True)]
    return _where_there_is_truth(values, truth)


def challenge_surface_dice(predicted: torch.Tensor, truth: torch.Tensor, spacing: Spacing = 1.0) -> torch.Tensor:
    """The same as :func:`surface_dice`, but where the truth is empty 1 if the prediction is empty too and 0 if not."""
    right = torch.where(predicted.flatten(1).any(dim=1), 0.0, 1.0).double()
    return _filled(surface_dice(predicted, truth, spacing), right)


def _distance(predicted: torch.Tensor, truth: torch.Tensor, spacing: Spacing) -> float:
    if not truth.any():
        return float("nan")
    pair = (predicted[None, None], truth[None, None])
    return float(compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=spacing))


def _agreement(predicted: torch.Tensor, truth: torch.Tensor, spacing: Spacing) -> float:
    if not truth.any():
        return float("nan")
    pair = (predicted[None, None], truth[None, None])
    how: dict[str, Any] = {"class_thresholds": [TOLERANCE_MM], "include_background": True, "spacing": spacing}
    return float(compute_surface_dice(*pair, **how))


def _where_there_is_truth(values: list[float], truth: torch.Tensor) -> torch.Tensor:
    nothing = ~truth.flatten(1).any(dim=1).cpu()
    return torch.tensor(values, dtype=torch.float64).masked_fill(nothing, float("nan"))


def _filled(values: torch.Tensor, where_nan: torch.Tensor) -> torch.Tensor:
    return torch.where(values.isnan(), where_nan.cpu(), values)
