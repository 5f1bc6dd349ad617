"""The anatomy of a phantom: the MNI152 template's brain, grey and white matter, turned, stretched and bent at random.

The template is ICBM 152 2009a nonlinear symmetric (V. S. Fonov et al., NeuroImage 47, S102, 2009, and 54, 313-327,
2011) as nilearn carries it inside its package, so nothing is downloaded.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from fedmed.data.phantoms.smooth_noise import Mask, Size, Volume, smooth_noise

FILLED = 0.88
"""Share of the volume's tightest axis that the brain takes before it is stretched and bent; it never touches a side."""

STRETCH = 0.03
"""Most that an axis of the brain is longer or shorter than the template's, as a share."""

TILT = 5.0
"""Most that a head is turned around each axis, degrees."""

BEND, BEND_LIMIT, BEND_LENGTH = 2.5, 6.0, 40.0
"""Standard deviation, limit and length of the random bends, mm of the template; too gentle to fold it over itself."""

VESSEL_RADIUS, VESSEL_SPACING = 0.2, 1 / 6
"""Thickness (share of the spacing) and spacing of the vessels (share of the smallest axis of the volume)."""


@dataclass(frozen=True)
class Tissues:
    """The tissues of a brain; every array has the shape of the volume (X, Y, Z)."""

    brain: Mask
    grey: Volume  # share of grey matter in a voxel, 0 to 1
    white: Volume  # share of white matter, 0 to 1
    vessel: Mask  # thin tubes in the brain that take up contrast agent

    @property
    def fluid(self) -> Volume:
        """Share of fluid, 0 to 1: what is neither grey nor white; 1 outside the brain, which swims in it."""
        return np.clip(1 - self.grey - self.white, 0, 1)


def random_anatomy(rng: np.random.Generator, size: Size) -> Tissues:
    """One brain of its own shape, in the middle of a volume.

    The template (145 x 181 x 155 mm) is scaled down by one factor until it fits, never up: in a volume of 96 x 96 x 80
    voxels stands a small head of about 66 x 82 x 70 voxels. Axes run as in BraTS: to the left, to the back, up.

    Args:
        rng: all randomness comes from it.
        size: (X, Y, Z) in voxels.
    """
    scale = template_scale(size)
    coordinates = _coordinates(rng, size, scale)
    brain, grey, white = (map_coordinates(each, coordinates, order=1) for each in _smoothed_template(scale))
    inside = brain > 0.5
    return Tissues(inside, np.where(inside, grey, 0), np.where(inside, white, 0), _vessels(rng, size) & inside)


def template_scale(size: Size) -> float:
    """Voxels per mm of the template in a volume of ``size`` voxels; at most 1."""
    return min(1.0, *(FILLED * n / extent for n, extent in zip(size, template()[0].shape, strict=True)))


@lru_cache(maxsize=1)
def template() -> tuple[Volume, Volume, Volume]:
    """Brain (0 or 1), grey and white matter (shares from 0 to 1) at 1 mm, cut to the brain; axes as in BraTS."""
    from nilearn import datasets  # takes seconds, and is needed only where phantoms are made

    loaders = (datasets.load_mni152_brain_mask, datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
    brain, grey, white = (np.asarray(load(resolution=1).dataobj, dtype=np.float32) for load in loaders)
    along = [np.flatnonzero(brain.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    box = tuple(slice(found[0], found[-1] + 1) for found in along)
    # nilearn's axes run to the right and to the front
    cut_brain, cut_grey, cut_white = (np.ascontiguousarray(each[box][::-1, ::-1]) for each in (brain, grey, white))
    return cut_brain, cut_grey * cut_brain, cut_white * cut_brain


@lru_cache(maxsize=1)
def _smoothed_template(scale: float) -> tuple[Volume, ...]:
    """The template without the detail that voxels of 1 / ``scale`` mm cannot show, and with a margin of nothing."""
    margin = 2
    padded = (np.pad(each, margin) for each in template())
    return tuple(gaussian_filter(each, 0.35 / scale, mode="constant", truncate=3) for each in padded)


def _coordinates(rng: np.random.Generator, size: Size, scale: float) -> NDArray[np.float32]:
    """(3, X, Y, Z): where in the smoothed template each voxel looks."""
    turn = Rotation.from_euler("xyz", rng.uniform(-TILT, TILT, 3), degrees=True).as_matrix()
    stretch = scale * rng.uniform(1 - STRETCH, 1 + STRETCH, 3)
    offsets = [np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in size]
    grid = np.stack(np.meshgrid(*offsets, indexing="ij"))
    found = np.tensordot((turn / stretch[:, None]).astype(np.float32), grid, axes=1)
    for axis, extent in enumerate(_smoothed_template(scale)[0].shape):
        bend = np.clip(BEND * smooth_noise(rng, size, BEND_LENGTH * scale), -BEND_LIMIT, BEND_LIMIT)
        found[axis] += bend + np.float32((extent - 1) / 2)
    return found


def _vessels(rng: np.random.Generator, size: Size) -> Mask:
    """Thin winding tubes: where two smooth fields both cross zero."""
    scale = min(size) * VESSEL_SPACING
    first, second = smooth_noise(rng, size, scale), smooth_noise(rng, size, scale)
    return np.asarray(first**2 + second**2 < VESSEL_RADIUS**2)
