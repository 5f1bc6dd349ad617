"""The transforms from a patient's slices to the network's input: fixed ones of a volume, random ones of a slice.

The volume is kept as (C, S, H, W), so that a slice lies in one piece; what is scored is (C, H, W, S).
"""

from typing import Any

import monai.transforms as mt
import torch

from fedmed.data.lgg.head_volume import NormalizeVolume, ReadSlices, SlicesLast, SquareSlices
from fedmed.data.prepared.cache import Caching
from fedmed.data.prepared.cached_transform import CachedTransform
from fedmed.data.prepared.compact import KEYS, Compact, Expand, rounded

IMAGE = ("image",)

LEFT_RIGHT = 1
"""The axis of (H, W) along which a mirrored head is a head."""

TURN, STRETCH, SHIFT = 0.2, 0.15, 0.06
"""The most by which a training slice is turned (rad), stretched (share) and moved (share of its edge)."""

BEND, BEND_SPACING = (0.0, 0.015), 0.2
"""Least and most standard deviation of the elastic shifts, and the distance of their grid, as shares of the edge."""


def volume(caching: Caching, image_size: int) -> CachedTransform:
    """The prepared volume of items of ``image`` and ``label``, lists of files, in compact form (C, S, H, W).

    It is cached where there is a cache.

    Args:
        caching: holds the cache.
        image_size: edge of the square slices in pixels.
    """
    return CachedTransform([ReadSlices(), NormalizeVolume(), SquareSlices(image_size), Compact()], caching.disk)


def deterministic(caching: Caching, image_size: int) -> list[Any]:
    """To ``image`` (3, H, W, S) float32 and ``label`` (1, H, W, S) uint8 of a patient, the volume cached."""
    return [
        volume(caching, image_size),
        Expand(caching.device),
        SlicesLast(KEYS),
        mt.CastToTyped("image", dtype=torch.float32),
    ]


def training(image_size: int) -> list[Any]:
    """Random flips to the other side, deformations and intensities of one slice, image and mask together.

    Takes ``image`` (3, H, W) and ``label`` (1, H, W) of any type and makes both float32.
    """
    shift = SHIFT * image_size
    return [
        mt.CastToTyped(KEYS, dtype=torch.float32),
        mt.RandFlipd(KEYS, prob=0.5, spatial_axis=LEFT_RIGHT),
        mt.Rand2DElasticd(
            KEYS, prob=0.5, spacing=(BEND_SPACING * image_size,) * 2,
            magnitude_range=(BEND[0] * image_size, BEND[1] * image_size),
            rotate_range=TURN, scale_range=(STRETCH,) * 2, translate_range=(shift,) * 2,
            mode=("bilinear", "nearest"), padding_mode=("border", "zeros"),
        ),
        mt.RandScaleIntensityd("image", factors=0.2, prob=0.8, channel_wise=True),
        mt.RandShiftIntensityd("image", offsets=0.2, prob=0.8, channel_wise=True),
        mt.RandGaussianNoised("image", prob=0.2, std=0.1),
        mt.CastToTyped(KEYS, dtype=torch.float32),
    ]  # fmt: skip


def new_volume(image_size: int) -> list[Any]:
    """The work of :func:`deterministic` on ``image`` (3, S, H, W), pixels as stored, without masks; can be inverted.

    The inverse leads (C, H, W, S) to (C, S, height, width): values on the pixels as stored.
    """
    return [
        NormalizeVolume(),
        SquareSlices(image_size),
        SlicesLast(IMAGE),
        mt.Lambdad("image", rounded),
        mt.CastToTyped("image", dtype=torch.float32),
    ]
