"""Distances between surfaces in mm, and the two rules by which an empty region counts. Pure functions.

MONAI measures; here stands what an empty mask means.
"""

import warnings

import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice

warnings.filterwarnings("ignore", message=".*always_return_as_numpy")  # MONAI warns of what it does itself

PENALTY_MM = 373.13
"""The 95 % Hausdorff distance where only one of two masks is empty: the diagonal of 240 x 240 x 155 mm.

It is what the BraTS challenges of 2017 to 2021 counted for a region that was missed, whatever the volume's size.
"""

TOLERANCE_MM = 1.0
"""Surfaces this close count as equal in the normalised surface Dice."""


def hd95(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The 95 % Hausdorff distance in mm: the larger of the two directions' 95th percentiles.

    Args:
        predicted: bool (C, X, Y, Z) in voxels of 1 mm, a channel a region.
        truth: bool, of the same shape.

    Returns:
        (C,): NaN where the truth is empty, ``PENALTY_MM`` where only the prediction is.
    """
    values = [_distance(p, t) if p.any() else PENALTY_MM for p, t in zip(predicted, truth, strict=True)]
    return _where_there_is_truth(values, truth)


def challenge_hd95(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """As :func:`hd95`, but where the truth is empty 0 if the prediction is empty too and ``PENALTY_MM`` if not."""
    missed = torch.where(predicted.flatten(1).any(dim=1), PENALTY_MM, 0.0).double()
    return _filled(hd95(predicted, truth), missed)


def surface_dice(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The share of both surfaces that lies within ``TOLERANCE_MM`` of the other.

    It is the normalised surface Dice of Nikolov et al. 2018 (arXiv 1809.04430). Shapes as in :func:`hd95`; NaN where
    the truth is empty, 0 where only the prediction is.
    """
    values = [_agreement(p, t) if p.any() else 0.0 for p, t in zip(predicted, truth, strict=True)]
    return _where_there_is_truth(values, truth)


def challenge_surface_dice(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """As :func:`surface_dice`, but where the truth is empty 1 if the prediction is empty too and 0 if not."""
    right = torch.where(predicted.flatten(1).any(dim=1), 0.0, 1.0).double()
    return _filled(surface_dice(predicted, truth), right)


def _distance(predicted: torch.Tensor, truth: torch.Tensor) -> float:
    if not truth.any():
        return float("nan")
    pair = (predicted[None, None], truth[None, None])
    return float(compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=1.0))


def _agreement(predicted: torch.Tensor, truth: torch.Tensor) -> float:
    if not truth.any():
        return float("nan")
    pair = (predicted[None, None], truth[None, None])
    return float(compute_surface_dice(*pair, class_thresholds=[TOLERANCE_MM], include_background=True, spacing=1.0))


def _where_there_is_truth(values: list[float], truth: torch.Tensor) -> torch.Tensor:
    nothing = ~truth.flatten(1).any(dim=1).cpu()
    return torch.tensor(values, dtype=torch.float64).masked_fill(nothing, float("nan"))


def _filled(values: torch.Tensor, where_nan: torch.Tensor) -> torch.Tensor:
    return torch.where(values.isnan(), where_nan.cpu(), values)
