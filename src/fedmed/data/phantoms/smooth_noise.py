"""Smooth random fields: how anatomies bend, tumours are uneven and coils shade."""

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int, int]
Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]


def smooth_noise(rng: np.random.Generator, size: Size, scale: float) -> Volume:
    """A smooth random field over a volume: mean 0 and variance 1 at each voxel, structures of ``scale`` voxels.

    Made on a coarse grid, as filtering white noise at full resolution takes seconds where ``scale`` is large.
    """
    cells = [max(2, round(n / (0.6 * scale)) + 1) for n in size]
    weights = [_kernel_weights(n, k) for n, k in zip(size, cells, strict=True)]
    field = rng.standard_normal(cells)
    for weight in weights:
        # Takes the first axis and appends its finer version, so three turns bring the axes back into order.
        field = np.tensordot(field, weight, axes=(0, 1))
    return np.asarray(field, dtype=np.float32)


def _kernel_weights(points: int, cells: int) -> NDArray[np.float32]:
    """(points, cells): how much of each cell's random value a point gets; rows of unit length keep the variance 1."""
    position = np.linspace(0, cells - 1, points)[:, None]
    weights = np.exp(-0.5 * (position - np.arange(cells)) ** 2)  # wide enough that the cells' grid does not show
    return np.asarray(weights / np.linalg.norm(weights, axis=1, keepdims=True), dtype=np.float32)
