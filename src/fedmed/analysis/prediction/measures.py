"""Volumes in ml and centres in mm of the regions and parts of a segmentation."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedmed.data.brats.brats_layout import NECROSIS, OEDEMA, LabelScheme


class Measured(NamedTuple):
    """One region. ``centre_mm`` is its centre of mass in the scanner's RAS+ mm; None where it is empty."""

    voxels: int
    ml: float
    centre_mm: tuple[float, float, float] | None


def parts_of(scheme: LabelScheme) -> dict[str, int]:
    """The label of each part of a tumour."""
    return {"necrosis": NECROSIS, "oedema": OEDEMA, "enhancing": scheme.enhancing}


def measured(labels: NDArray[np.uint8], affine: NDArray[np.float64], scheme: LabelScheme) -> dict[str, Measured]:
    """The regions TC, WT and ET and the parts of a segmentation as it is written.

    Args:
        labels: (X, Y, Z).
        affine: (4, 4) from voxels to mm.
        scheme: the meaning of the labels.
    """
    parts = parts_of(scheme)
    core = [parts["necrosis"], parts["enhancing"]]
    regions: Mapping[str, list[int]] = {"TC": core, "WT": list(parts.values()), "ET": [parts["enhancing"]]}
    wanted = {**regions, **{part: [label] for part, label in parts.items()}}
    return {name: _measured(np.isin(labels, values), affine) for name, values in wanted.items()}


def _measured(where: NDArray[np.bool_], affine: NDArray[np.float64]) -> Measured:
    voxels = int(np.count_nonzero(where))
    ml = voxels * abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    if not voxels:
        return Measured(0, ml, None)
    middle = np.array([indices.mean() for indices in where.nonzero()])
    x, y, z = (round(float(mm), 2) for mm in affine[:3, :3] @ middle + affine[:3, 3])
    return Measured(voxels, ml, (x, y, z))
