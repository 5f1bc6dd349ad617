"""The random transforms of chest films in training, which leave the heart on its side."""

from typing import Any

import monai.transforms as mt
import torch

TURN, STRETCH, SHIFT = 0.12, 0.08, 0.05
"""The most by which a training film is turned (rad), stretched and moved (shares of its edge)."""

CONTRAST, BRIGHTNESS = 0.2, 0.2
"""The most by which its intensities are scaled (a share) and moved (standard deviations)."""


def training(edge: int) -> list[Any]:
    """Small turns, stretches, shifts and other exposures of ``image`` (C, edge, edge).

    Films are not mirrored: the heart, the aortic arch and the gastric bubble have their sides, and a mirrored film is
    one of a rare anomaly.
    """
    return [
        mt.RandAffined(
            "image", prob=0.8, rotate_range=TURN, scale_range=(STRETCH,) * 2, translate_range=(SHIFT * edge,) * 2,
            spatial_size=(edge, edge), cache_grid=True, mode="bilinear", padding_mode="border",
        ),
        mt.RandScaleIntensityd("image", factors=CONTRAST, prob=1.0),
        mt.RandShiftIntensityd("image", offsets=BRIGHTNESS, prob=1.0),
        mt.CastToTyped("image", dtype=torch.float32),
    ]  # fmt: skip
