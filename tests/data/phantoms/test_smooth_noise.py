"""Smooth noise: its statistics and its axes."""

import numpy as np

from fedmed.data.phantoms.smooth_noise import smooth_noise


def test_smooth_noise_is_standard_and_smooth() -> None:
    """Mean 0 and variance 1 at a voxel over many fields; neighbours much alike, far voxels unrelated."""
    rng = np.random.default_rng(0)
    fields = np.stack([smooth_noise(rng, (20, 16, 12), 4) for _ in range(2000)])
    assert abs(fields[:, 3, 7, 0].mean()) < 0.1
    assert abs(fields[:, 3, 7, 0].var() - 1) < 0.15
    assert np.corrcoef(fields[:, 10, 8, 6], fields[:, 11, 8, 6])[0, 1] > 0.9
    assert abs(np.corrcoef(fields[:, 0, 8, 6], fields[:, 19, 8, 6])[0, 1]) < 0.1


def test_noise_keeps_the_order_of_the_axes() -> None:
    assert smooth_noise(np.random.default_rng(0), (9, 8, 7), 3).shape == (9, 8, 7)
