"""Lesion-wise Dice and HD95 as BraTS has defined them for gliomas since 2023. Pure functions, in 2D and 3D.

The definition is that of the challenge's own program (Saluja et al., BraTS-2023-Metrics, GLI). Lesions of the truth
that touch once dilated are one lesion; each is compared with all predicted components that reach its dilated self;
lesions of at most 50 mm^3 are left out; and every predicted component that reaches no lesion counts as a lesion with
Dice 0 and a distance of 374 mm, as does a lesion that nothing reaches.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from fedmed.tasks.scoring.surface_metrics import Spacing, element_mm3, hd95

MISSED_MM = 374.0
SMALLEST_MM3 = 50
DILATIONS = 3

Mask = NDArray[np.bool_]


class LesionScores(NamedTuple):
    """A case's scores of one target."""

    dice: float  # in [0, 1]; 1 where there is nothing to find and nothing was found
    hd95_mm: float  # 0 to 374
    lesions: int  # in the truth, of more than 50 mm^3
    missed: int  # of these, reached by no predicted component
    false: int  # predicted components that reach no lesion


class _Lesion(NamedTuple):
    """One lesion of the truth."""

    near: frozenset[int]  # the predicted components that reach it, by their numbers
    score: tuple[float, float] | None  # Dice and HD95 in mm; None of a lesion that is too small to be scored


def lesion_scores(predicted: Mask, truth: Mask, spacing: Spacing = 1.0) -> LesionScores:
    """Compare lesion by lesion.

    Args:
        predicted: bool (H, W) or (X, Y, Z).
        truth: of the same shape.
        spacing: in mm.
    """
    predicted, truth = _boxed(predicted, truth)
    components, count = ndimage.label(predicted, _touching(predicted.ndim))
    lesions = [_lesion(mask, components, spacing) for mask in _masks(truth)]
    false = count - len(frozenset().union(*(lesion.near for lesion in lesions)))
    scores = [lesion.score for lesion in lesions if lesion.score is not None]
    missed = sum(not lesion.near for lesion in lesions if lesion.score is not None)
    scored = len(scores) + false
    if not scored:
        return LesionScores(1.0, 0.0, 0, 0, 0)
    dice = sum(dice for dice, _ in scores) / scored
    distance = (sum(mm for _, mm in scores) + false * MISSED_MM) / scored
    return LesionScores(dice, distance, len(scores), missed, false)


def _masks(truth: Mask) -> Iterator[Mask]:
    """The truth's lesions one after another: voxels are of one lesion where dilation joins them."""
    joined, number = ndimage.label(_grown(truth), _touching(truth.ndim))
    return (truth & (joined == lesion + 1) for lesion in range(number))


def _lesion(mask: Mask, components: NDArray[np.int32], spacing: Spacing) -> _Lesion:
    near = frozenset(int(n) for n in np.unique(components[_grown(mask)]) if n)
    if mask.sum() * element_mm3(spacing, mask.ndim) <= SMALLEST_MM3:
        return _Lesion(near, None)
    return _Lesion(near, _compared(np.isin(components, list(near)), mask, spacing) if near else (0.0, MISSED_MM))


def _touching(axes: int) -> Mask:
    """All neighbours, 26 in 3D: these make a component."""
    return np.asarray(ndimage.generate_binary_structure(axes, axes))


def _grown(mask: Mask) -> Mask:
    """Dilated three times to the neighbours at faces and edges, 18 in 3D."""
    growing = ndimage.generate_binary_structure(mask.ndim, 2)
    return np.asarray(ndimage.binary_dilation(mask, growing, iterations=DILATIONS))


def _compared(predicted: Mask, lesion: Mask, spacing: Spacing) -> tuple[float, float]:
    """Dice and HD95 in mm of one lesion and the components that reach it."""
    dice = 2 * np.count_nonzero(predicted & lesion) / (np.count_nonzero(predicted) + np.count_nonzero(lesion))
    distance = hd95(torch.from_numpy(predicted)[None], torch.from_numpy(lesion)[None], spacing)
    return float(dice), float(distance)


def _boxed(predicted: Mask, truth: Mask) -> tuple[Mask, Mask]:
    """Both cut to the box around all that is in either, with room for the dilation: the same result, much sooner."""
    found = ndimage.find_objects((predicted | truth).astype(np.uint8))
    if not found:
        return predicted, truth
    sizes = zip(found[0], predicted.shape, strict=True)
    room = DILATIONS + 1
    box = tuple(slice(max(0, e.start - room), min(size, e.stop + room)) for e, size in sizes)
    return predicted[box], truth[box]
