"""The random transforms of brain MR pictures in training."""

from typing import Any

import monai.transforms as mt
import torch

LEFT_RIGHT = 1
"""The axis of (H, W) along which a mirrored head is a head."""

TURN, STRETCH, SHIFT = 0.25, 0.1, 0.05
"""The most by which a training picture is turned (rad), stretched and moved (shares of its edge)."""


def training(edge: int) -> list[Any]:
    """Random flips to the other side, small deformations and intensities of ``image`` (C, edge, edge)."""
    return [
        mt.RandFlipd("image", prob=0.5, spatial_axis=LEFT_RIGHT),
        mt.RandAffined(
            "image", prob=0.8, rotate_range=TURN, scale_range=(STRETCH,) * 2, translate_range=(SHIFT * edge,) * 2,
            spatial_size=(edge, edge), cache_grid=True,
            mode="bilinear", padding_mode="border",
        ),
        mt.RandScaleIntensityd("image", factors=0.2, prob=1.0),
        mt.RandShiftIntensityd("image", offsets=0.2, prob=1.0),
        mt.CastToTyped("image", dtype=torch.float32),
    ]  # fmt: skip
