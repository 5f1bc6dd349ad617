"""Lesion-wise Dice and HD95 as BraTS has defined them for gliomas since 2023. Pure functions over (X, Y, Z).

The definition is that of the challenge's own program (Saluja et al., BraTS-2023-Metrics, GLI). Lesions of the truth
that touch once dilated are one lesion; each is compared with all predicted components that reach its dilated self;
lesions of at most 50 mm^3 are left out; and every predicted component that reaches no lesion counts as a lesion with
Dice 0 and a distance of 374 mm, as does a lesion that nothing reaches.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from fedmed.tasks.scoring.surface_metrics import hd95

MISSED_MM = 374.0
SMALLEST_MM3 = 50
DILATIONS = 3
_MISSED = (0.0, MISSED_MM)  # Dice and distance
_TOUCHING = ndimage.generate_binary_structure(3, 3)  # 26 neighbours: components
_GROWING = ndimage.generate_binary_structure(3, 2)  # 18 neighbours: dilation

Mask = NDArray[np.bool_]


class LesionScores(NamedTuple):
    """A case's scores in one region."""

    dice: float  # in [0, 1]; 1 where there is nothing to find and nothing was found
    hd95_mm: float  # 0 to 374
    lesions: int  # in the truth, of more than 50 mm^3
    missed: int  # of these, reached by no predicted component
    false: int  # predicted components that reach no lesion


def lesion_scores(predicted: Mask, truth: Mask) -> LesionScores:
    """Compare lesion by lesion.

    Args:
        predicted: (X, Y, Z) in voxels of 1 mm.
        truth: of the same shape.
    """
    predicted, truth = _boxed(predicted, truth)
    components, count = ndimage.label(predicted, _TOUCHING)
    lesions, number = _lesions(truth)
    reached: set[int] = set()
    pairs = []
    for lesion in (lesions == n + 1 for n in range(number)):
        near = {int(n) for n in np.unique(components[_grown(lesion)]) if n}
        reached |= near
        if lesion.sum() > SMALLEST_MM3:
            pairs.append(_pair(np.isin(components, list(near)), lesion) if near else _MISSED)
    false = count - len(reached)
    scored = len(pairs) + false
    if not scored:
        return LesionScores(1.0, 0.0, 0, 0, 0)
    dice = sum(dice for dice, _ in pairs) / scored
    distance = (sum(mm for _, mm in pairs) + false * MISSED_MM) / scored
    return LesionScores(dice, distance, len(pairs), sum(pair is _MISSED for pair in pairs), false)


def _lesions(truth: Mask) -> tuple[NDArray[np.int32], int]:
    """The truth's lesions, numbered from 1: voxels are of one lesion where dilation joins them."""
    joined, number = ndimage.label(_grown(truth), _TOUCHING)
    return np.where(truth, joined, 0), number


def _grown(mask: Mask) -> Mask:
    return np.asarray(ndimage.binary_dilation(mask, _GROWING, iterations=DILATIONS))


def _pair(predicted: Mask, lesion: Mask) -> tuple[float, float]:
    dice = 2 * np.count_nonzero(predicted & lesion) / (np.count_nonzero(predicted) + np.count_nonzero(lesion))
    distance = hd95(torch.from_numpy(predicted)[None], torch.from_numpy(lesion)[None])
    return float(dice), float(distance)


def _boxed(predicted: Mask, truth: Mask) -> tuple[Mask, Mask]:
    """Both cut to the box around all that is in either, with room for the dilation: the same answer, much sooner."""
    found = ndimage.find_objects((predicted | truth).astype(np.uint8))
    if not found:
        return predicted, truth
    sizes = zip(found[0], predicted.shape, strict=True)
    room = DILATIONS + 1
    box = tuple(slice(max(0, e.start - room), min(size, e.stop + room)) for e, size in sizes)
    return predicted[box], truth[box]
