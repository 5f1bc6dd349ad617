"""The transforms from a BraTS case's files to the network's input: deterministic ones, then random ones."""

from collections.abc import Sequence
from typing import Any, Literal

import monai.transforms as mt
import torch

from fedmed.data.prepared.cache import Caching
from fedmed.data.prepared.cached_transform import CachedTransform
from fedmed.data.prepared.compact import KEYS, Compact, Expand, rounded
from fedmed.data.prepared.oriented import oriented
from fedmed.data.windows import Size

BOTH = KEYS
PADDING = 32  # the published recipe pads validation volumes to a multiple of this

Normalize = Literal["volume", "crop"]


def deterministic(normalize: Normalize, caching: Caching, keep_box: bool) -> list[Any]:
    """To oriented volumes of 1 mm; of ``volume`` normalised as a whole, compact, and cached where there is a cache.

    The published order, ``crop``, normalises what was cut out, so that nothing but the raw volumes could be cached.
    """
    if normalize == "crop":
        return oriented()
    return [CachedTransform(prepared(), caching.disk), Expand(caching.device, keep_box=keep_box)]


def prepared() -> list[Any]:
    """A case's fixed transforms, the same every time, so that their results can be cached."""
    return [*oriented(), _normalized(), Compact()]


def training(normalize: Normalize, crop: Size, foreground: float, enhancing: int) -> list[Any]:
    """Random crop, flips and intensities; image (4, X, Y, Z) and label (3, X, Y, Z), both float32."""
    return [
        _crop(crop, foreground),
        *(mt.RandFlipd(BOTH, prob=0.5, spatial_axis=axis) for axis in range(3)),
        *_network_input(enhancing),
        *([_normalized()] if normalize == "crop" else []),
        mt.RandScaleIntensityd("image", factors=0.1, prob=1.0),
        mt.RandShiftIntensityd("image", offsets=0.1, prob=1.0),
        mt.SpatialPadd(BOTH, spatial_size=crop),  # volumes smaller than the crop
        mt.CastToTyped("label", dtype=torch.float32),
    ]


def validation(normalize: Normalize, padded: bool, enhancing: int) -> list[Any]:
    """The whole volume, or as published one padded to a multiple of 32: image float32, label uint8."""
    return [
        *([mt.DivisiblePadd(BOTH, k=PADDING)] if padded else []),
        *_network_input(enhancing),
        *([_normalized()] if normalize == "crop" else []),
        mt.CastToTyped("label", dtype=torch.uint8),
    ]


def new_patient(normalize: Normalize, padded: bool, keep_box: bool) -> list[Any]:
    """The work of :func:`deterministic` and :func:`validation` on an image without a label; can be inverted."""
    return [
        *oriented(("image",)),
        *([_normalized(), mt.Lambdad("image", rounded)] if normalize == "volume" else []),
        *([mt.CropForegroundd("image", source_key="image", select_fn=_is_tissue)] if keep_box else []),
        *([mt.DivisiblePadd("image", k=PADDING)] if padded else []),
        mt.CastToTyped("image", dtype=torch.float32),
        *([_normalized()] if normalize == "crop" else []),
    ]


def _normalized() -> Any:
    return mt.NormalizeIntensityd("image", nonzero=True, channel_wise=True)


def _is_tissue(image: torch.Tensor) -> torch.Tensor:
    return image != 0


def _crop(crop: Size, foreground: float) -> Any:
    if foreground == 0:
        return mt.RandSpatialCropd(BOTH, roi_size=crop, random_size=False)
    return mt.RandCropByPosNegLabeld(
        BOTH, label_key="label", spatial_size=crop, pos=foreground, neg=1 - foreground, allow_smaller=True
    )


def _network_input(enhancing: int) -> Sequence[Any]:
    """From a case's own types to the network's: float32 intensities and a channel a region."""
    return [
        mt.CastToTyped("image", dtype=torch.float32),
        mt.ConvertToMultiChannelBasedOnBratsClassesd("label", et_label=enhancing),
    ]
