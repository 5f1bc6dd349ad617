"""The U-Net of the reference: its size, and how far a pixel sees."""

from typing import Any

import pytest
import torch

from fedmed.networks.four_level_unet import FourLevelUNet


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize(("features", "parameters"), [(32, 7_763_041), (16, 1_942_577)])
def test_it_has_the_references_number_of_parameters(features: int, parameters: int, norm: Any) -> None:
    """By hand: levels of 9 * (in + out) * out weights and 4 * out of norms, ups of 4 * in * out + out, a head."""
    widths = [features * 2**level for level in range(5)]
    levels = [9 * (a + b) * b + 4 * b for a, b in zip([3, *widths], widths, strict=False)]
    ups = [4 * 2 * w * w + w + 9 * 3 * w * w + 4 * w for w in widths[:4]]
    by_hand = sum(levels) + sum(ups) + features + 1
    network = FourLevelUNet(3, 1, features, norm)
    assert sum(p.numel() for p in network.parameters()) == by_hand == parameters
    assert bool(list(network.buffers())) is (norm == "batch")


def test_the_finest_and_the_coarsest_grid_reach_the_output() -> None:
    network = FourLevelUNet(1, 1, 8, "group")
    image = torch.randn(1, 1, 64, 64, requires_grad=True)
    network(image)[0, 0, 32, 32].backward()
    assert image.grad is not None
    assert image.grad[0, 0, 32, 32] != 0
    assert image.grad[0, 0, :, 32].count_nonzero() > 48  # far beyond what convolutions of one grid see
