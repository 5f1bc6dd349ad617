"""A simulated glioma: oedema that spreads along white matter around a core with an enhancing rim and necrosis."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter
from scipy.ndimage import label as components

from fedmed.data.brats.brats_layout import NECROSIS, OEDEMA
from fedmed.data.phantoms.anatomy import Tissues
from fedmed.data.phantoms.smooth_noise import Mask, Size, Volume, smooth_noise

RADIUS = (17 / 96, 24 / 96)
"""Radius of the ball that has the whole tumour's volume, as shares of the smallest axis of the volume."""

GREY_HINDRANCE, FLUID_HINDRANCE = 0.4, 0.8
"""Distance that grey matter and fluid add to a voxel's own from the middle, in radii: both hold oedema up."""

CORE, NECROTIC = (0.66, 0.80), (0.45, 0.65)
"""Radius of the core in radii of the whole tumour, and of the necrosis in radii of the core."""

MARGIN = 2
"""Voxels that stay free between the tumour and the surface of the brain."""


def random_glioma(rng: np.random.Generator, tissues: Tissues, rim_label: int) -> NDArray[np.uint8]:
    """One tumour in a brain.

    The middle is drawn where white matter prevails. The whole tumour is the level set, in the wanted volume, of a
    distance that grey matter and fluid lengthen, so that it follows the white matter; of it only the largest connected
    part stays. Necrosis lies inside the core, and the core's rest has ``rim_label``.

    Args:
        rng: all randomness comes from it.
        tissues: the brain.
        rim_label: the scheme's label of the enhancing part, or ``NECROSIS`` for a tumour without one.

    Returns:
        Label (X, Y, Z): 0, ``NECROSIS``, ``OEDEMA`` or ``rim_label``.
    """
    size: Size = tissues.brain.shape[0], tissues.brain.shape[1], tissues.brain.shape[2]
    radius = rng.uniform(*RADIUS) * min(size)
    room = binary_erosion(tissues.brain, iterations=MARGIN)
    middle = _middle(rng, np.where(room, tissues.white, 0), radius)
    hindered = _blob(rng, size, middle, radius) + GREY_HINDRANCE * tissues.grey + FLUID_HINDRANCE * tissues.fluid
    whole = _largest_part(_level_set(hindered, room, 4 / 3 * np.pi * radius**3))
    core_radius = radius * rng.uniform(*CORE)
    core = _blob(rng, size, middle + rng.uniform(-0.12, 0.12, 3) * radius, core_radius)
    label = np.zeros(size, dtype=np.uint8)
    label[whole] = OEDEMA
    label[whole & (core < 1)] = rim_label
    label[whole & (core < rng.uniform(*NECROTIC))] = NECROSIS
    return label


def _middle(rng: np.random.Generator, white: Volume, radius: float) -> NDArray[np.float64]:
    """A voxel (3,), likelier the more white matter lies within half a radius of it."""
    near = gaussian_filter(white, radius / 2, truncate=2).astype(np.float64)
    chance = np.where(white > 0.5, near, 0).ravel() ** 3
    drawn = rng.choice(chance.size, p=chance / chance.sum())
    return np.array(np.unravel_index(drawn, white.shape), dtype=np.float64)


def _blob(rng: np.random.Generator, size: Size, centre: Sequence[float] | NDArray[np.float64], radius: float) -> Volume:
    """Distance from ``centre`` in units of an irregular radius of about ``radius`` voxels: below 1 inside."""
    radii = radius * rng.uniform(0.85, 1.15, 3)
    x, y, z = (((np.arange(n) - c) / r) ** 2 for n, c, r in zip(size, centre, radii, strict=True))
    uneven = np.exp(np.clip(0.16 * smooth_noise(rng, size, 0.6 * radius), -0.32, 0.32))
    return (np.sqrt(x[:, None, None] + y[:, None] + z) * uneven).astype(np.float32)


def _level_set(field: Volume, room: Mask, voxels: float) -> Mask:
    """The given number of voxels of ``room`` where ``field`` is least, after smoothing away single voxels."""
    smooth = gaussian_filter(field, 0.7)
    inside = smooth[room]
    wanted = min(round(voxels), inside.size - 1)
    return room & (smooth < np.partition(inside, wanted)[wanted])


def _largest_part(mask: Mask) -> Mask:
    parts, _ = components(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax())
