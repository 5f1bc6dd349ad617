"""The deterministic transforms from a picture's file to a network's input: a square of comparable intensities."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import monai.transforms as mt
import torch
from torch.nn import functional as F

from fedmed.data.picture_pixels import Channels, picture_pixels
from fedmed.data.prepared.cache import Caching
from fedmed.data.prepared.cached_transform import CachedTransform
from fedmed.data.prepared.compact import Compact, Expand

IMAGE = ("image",)

RGB_MEAN, RGB_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pictures, by which networks that were pretrained on them expect theirs normalised."""


class ReadPicture(mt.Transform):
    """Takes ``image``, a path or a list of one; makes pixels (channels, H, W) from 0 to 1."""

    def __init__(self, channels: Channels) -> None:
        self.channels = channels

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        paths = item["image"]
        path = paths if isinstance(paths, str | Path) else paths[0]
        return {**item, "image": torch.from_numpy(picture_pixels(Path(path), self.channels))}


class SquarePicture(mt.Transform):
    """Makes ``image`` (C, H, W) a square of ``edge`` pixels: its longer edge scaled to that, black beside the other."""

    def __init__(self, edge: int) -> None:
        self.edge = edge

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        image = item["image"]
        height, width = image.shape[1:]
        scale = self.edge / max(height, width)
        size = [max(1, round(height * scale)), max(1, round(width * scale))]
        scaled = F.interpolate(image[None], size, mode="bilinear", antialias=True, align_corners=False)[0]
        top, left = (self.edge - size[0]) // 2, (self.edge - size[1]) // 2
        margins = (left, self.edge - size[1] - left, top, self.edge - size[0] - top)
        return {**item, "image": F.pad(scaled, margins)}


class NormalizePicture(mt.Transform):
    """Gives ``image`` of one channel mean 0 and variance 1; one of three channels ImageNet's normalisation."""

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        image = item["image"]
        if len(image) == 1:
            return {**item, "image": (image - image.mean()) / image.std().clamp_min(1e-3)}
        mean, std = (torch.tensor(each)[:, None, None] for each in (RGB_MEAN, RGB_STD))
        return {**item, "image": (image - mean) / std}


def picture_of(edge: int, channels: Channels) -> list[Any]:
    """From ``image``, a path, to the network's input (channels, edge, edge)."""
    return [ReadPicture(channels), SquarePicture(edge), NormalizePicture()]


def deterministic(edge: int, channels: Channels, caching: Caching) -> list[Any]:
    """The work of :func:`picture_of`, cached where there is a cache; the label passes through."""
    return [
        CachedTransform([*picture_of(edge, channels), Compact(IMAGE)], caching.disk, IMAGE),
        Expand(caching.device, keys=IMAGE),
        mt.CastToTyped("image", dtype=torch.float32),
    ]
