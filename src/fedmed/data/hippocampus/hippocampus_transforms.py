"""The transforms from a case's files to the network's input: deterministic ones, then random ones."""

from typing import Any

import monai.transforms as mt
import torch

from fedmed.data.prepared.cache import Caching
from fedmed.data.prepared.cached_transform import CachedTransform
from fedmed.data.prepared.compact import KEYS, Compact, Expand, rounded
from fedmed.data.prepared.oriented import oriented
from fedmed.data.windows import Size

LEFT_TO_RIGHT = 0
"""The only axis along which a mirrored hippocampus is one: the other side's."""

TURN, STRETCH, SHIFT = 0.2, 0.1, 3.0
"""The most by which a training image is turned (rad), stretched (share) and moved (voxels) along each axis."""


def deterministic(caching: Caching) -> list[Any]:
    """To oriented volumes of 1 mm with mean 0 and variance 1, cached where there is a cache."""
    return [
        CachedTransform([*oriented(), _normalized(), Compact()], caching.disk),
        Expand(caching.device),
        mt.CastToTyped("image", dtype=torch.float32),
    ]


def training(window: Size) -> list[Any]:
    """Random flips, small deformations and intensities: image (1, X, Y, Z) float32 and label (1, X, Y, Z) uint8.

    Every item is of the window's size: a smaller volume is padded with zeros, a larger one cut at random.
    """
    return [
        mt.SpatialPadd(KEYS, spatial_size=window),
        mt.RandSpatialCropd(KEYS, roi_size=window, random_size=False),
        mt.RandFlipd(KEYS, prob=0.5, spatial_axis=LEFT_TO_RIGHT),
        mt.RandAffined(
            KEYS, prob=0.5, rotate_range=(TURN,) * 3, scale_range=(STRETCH,) * 3, translate_range=(SHIFT,) * 3,
            mode=("bilinear", "nearest"), padding_mode="zeros",
        ),
        mt.RandScaleIntensityd("image", factors=0.1, prob=1.0),
        mt.RandShiftIntensityd("image", offsets=0.1, prob=1.0),
        mt.RandGaussianNoised("image", prob=0.2, std=0.1),
        mt.CastToTyped(KEYS, dtype=(torch.float32, torch.uint8)),
    ]  # fmt: skip


def new_patient() -> list[Any]:
    """The work of :func:`deterministic` on an image without a label; can be inverted."""
    return [
        *oriented(("image",)),
        _normalized(),
        mt.Lambdad("image", rounded),
        mt.CastToTyped("image", dtype=torch.float32),
    ]


def _normalized() -> Any:
    return mt.NormalizeIntensityd("image", channel_wise=True)
