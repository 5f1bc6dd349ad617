"""From the slices of a patient to a volume of squares: comparable intensities, cut to the head, each slice scaled.

All that a slice becomes depends on its own patient's slices alone. This file imports little of the project, because its
text stands for its work in the key of cached results (:mod:`fedmed.data.prepared.transform_key`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import monai.transforms as mt
import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils import convert_to_tensor
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional as F

from fedmed.core.errors import InputError
from fedmed.data.image_file import content_of, decoded_picture

CHANNELS = ("pre-contrast", "FLAIR", "post-contrast")
"""The channels of a slice, in their order."""

FLAIR = 1
"""The channel that every patient has, and in which the air is dark; some pre-contrast ones have a grey air."""

HEAD_SHARE = 0.1
"""The share of the largest FLAIR value from which a pixel is of the head."""

PERCENTILES = (1.0, 99.0)
"""Of a channel's values in the head, to which all its values are clipped."""

TUMOUR = 255
"""The value of a mask's pixels in the tumour; the others are 0."""

LEAST_STD = 1e-3
"""A channel that varies less, in units of the file, is one value."""


class Frame(NamedTuple):
    """The rectangle of a slice (H, W) in pixels that is shown in a square, and the size of the whole slice."""

    top: int
    left: int
    height: int
    width: int
    full_height: int
    full_width: int


class ReadSlices(mt.Transform):
    """Takes lists of a patient's files in the order of the slices, one a slice.

    Makes ``image`` (3, S, H, W) float32 as stored, 0 to 255, and of masks ``label`` (1, S, H, W) uint8, 0 or 1.

    Raises:
        InputError: a file cannot be read, has not three channels, or is of another size than the first one.
    """

    def __init__(self, keys: Sequence[str] = ("image", "label")) -> None:
        self.keys = tuple(keys)

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        read = dict(item)
        if "image" in self.keys:
            pixels = _stacked([Path(path) for path in item["image"]], "RGB")
            image = np.ascontiguousarray(pixels.transpose(3, 0, 1, 2), dtype=np.float32)
            read["image"] = MetaTensor(torch.from_numpy(image))
        if "label" in self.keys:
            mask = _stacked([Path(path) for path in item["label"]], "L")
            read["label"] = torch.from_numpy((mask == TUMOUR).astype(np.uint8)[None])
        return read


class NormalizeVolume(mt.Transform):
    """Makes ``image`` (3, S, H, W) comparable: each channel clipped to percentiles, then mean 0 and variance 1.

    Percentiles, mean and variance are those of the head, so that the amount of air around it decides nothing.
    """

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        image = item["image"]
        volume = convert_to_tensor(image, track_meta=False).numpy()
        head = head_of(volume[FLAIR])
        inside = volume[:, head] if head.any() else volume.reshape(len(volume), -1)
        channels = [_normalized(channel, values) for channel, values in zip(volume, inside, strict=True)]
        found = torch.from_numpy(np.stack(channels))
        return {**item, "image": MetaTensor(found), "frame": frame_of(head)}


class SquareSlices(mt.InvertibleTransform):
    """Makes ``image`` (C, S, H, W) and ``label`` squares of ``edge`` pixels, in which the frame of the head lies.

    The frame's longer edge is scaled to ``edge``, and beside the shorter one lies each channel's least value. A label's
    pixel is 1 where at least half of it is. ``inverse`` leads values (C, S, edge, edge) back to the slices' own pixels,
    linearly interpolated, and 0 outside of the frame.
    """

    def __init__(self, edge: int) -> None:
        super().__init__()
        self.edge = edge

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        frame: Frame = item["frame"]
        made = {name: value for name, value in item.items() if name != "frame"}
        image = MetaTensor(self._square(convert_to_tensor(item["image"], track_meta=False), frame))
        self.push_transform(image, extra_info={"frame": tuple(frame)})
        if isinstance(item.get("label"), torch.Tensor):
            made["label"] = (self._square(item["label"].float(), frame) >= 0.5).to(torch.uint8)
        return {**made, "image": image}

    def inverse(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """The values of every key on the slices' own pixels."""
        return {key: self._back(values) for key, values in data.items()}

    def _back(self, values: MetaTensor) -> MetaTensor:
        frame = Frame(*self.pop_transform(values)["extra_info"]["frame"])
        height, width, top, left = _inside(frame, self.edge)
        inner = convert_to_tensor(values, track_meta=False)[..., top : top + height, left : left + width].float()
        scaled = F.interpolate(inner, (frame.height, frame.width), mode="bilinear", align_corners=False)
        right, bottom = frame.full_width - frame.left - frame.width, frame.full_height - frame.top - frame.height
        return MetaTensor(F.pad(scaled, (frame.left, right, frame.top, bottom)))

    def _square(self, volume: torch.Tensor, frame: Frame) -> torch.Tensor:
        height, width, top, left = _inside(frame, self.edge)
        cut = volume[..., frame.top : frame.top + frame.height, frame.left : frame.left + frame.width]
        scaled = F.interpolate(cut, (height, width), mode="bilinear", align_corners=False, antialias=True)
        floor = volume.amin(dim=(1, 2, 3), keepdim=True)
        margins = (left, self.edge - width - left, top, self.edge - height - top)
        return F.pad(scaled - floor, margins) + floor


class SlicesLast(mt.InvertibleTransform):
    """Makes (C, H, W, S) of ``keys`` (C, S, H, W)."""

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__()
        self.keys = tuple(keys)

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        return {**item, **{key: item[key].movedim(1, -1) for key in self.keys}}

    def inverse(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """The values of every key as (C, S, H, W)."""
        return {key: values.movedim(-1, 1) for key, values in data.items()}


def head_of(flair: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The pixels of the head (S, H, W) in a FLAIR volume (S, H, W); those of the face and of noise are among them."""
    return np.asarray((flair >= HEAD_SHARE * flair.max()) & (flair > 0))


def frame_of(head: NDArray[np.bool_]) -> Frame:
    """The frame around the largest connected part of a head (S, H, W) seen from above; all where there is none."""
    seen = head.any(axis=0)
    parts, number = ndimage.label(seen)
    if not number:
        return Frame(0, 0, *seen.shape, *seen.shape)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    rows, columns = np.nonzero(parts == sizes.argmax())
    top, left = int(rows.min()), int(columns.min())
    return Frame(top, left, int(rows.max()) + 1 - top, int(columns.max()) + 1 - left, *seen.shape)


def _inside(frame: Frame, edge: int) -> tuple[int, int, int, int]:
    """Height, width, top and left of a frame's picture in its square."""
    scale = edge / max(frame.height, frame.width)
    height, width = (max(1, round(each * scale)) for each in (frame.height, frame.width))
    return height, width, (edge - height) // 2, (edge - width) // 2


def _normalized(channel: NDArray[np.float32], inside: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.percentile(inside, PERCENTILES)
    clipped = inside.clip(low, high)
    mean, std = clipped.mean(dtype=np.float64), max(clipped.std(dtype=np.float64), LEAST_STD)
    return np.asarray((channel.clip(low, high) - mean) / std, dtype=np.float32)


def _stacked(paths: Sequence[Path], mode: str) -> NDArray[np.uint8]:
    """The pixels (S, H, W) or (S, H, W, 3) of files of one mode and size."""
    pictures = [decoded_picture(path, content_of(path)) for path in paths]
    for path, picture in zip(paths, pictures, strict=True):
        if mode == "RGB" and picture.mode != mode:
            raise InputError(
                f"{path} is a picture of the mode {picture.mode}; expected three channels of 8 bits "
                f"({', '.join(CHANNELS)}): put FLAIR in the place of one that is missing."
            )
        if picture.size != pictures[0].size:
            raise InputError(
                f"{path} is {picture.width} x {picture.height} pixels, but {paths[0]} is {pictures[0].width} x "
                f"{pictures[0].height}; expected slices of one size: export the patient's slices again."
            )
    return np.stack([np.asarray(picture.convert(mode)) for picture in pictures])
