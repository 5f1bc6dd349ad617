"""A prepared case in its smallest lossless form: the box around all values that are not zero, in few bits a value.

This file imports nothing of the rest of the project, because its text stands for its work in the key of cached results
(:mod:`fedmed.data.prepared.transform_key`).
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import monai.transforms as mt
import numpy as np
import torch
from monai.utils import convert_to_tensor

KEYS = ("image", "label")
"""The arrays of an item whose target is a segmentation. Where it is not, ``("image",)``: the label is no array then."""

PLACE = ("origin", "full_size")
"""The keys of the box's first voxel and of the size of the whole image, both int64 with a number an axis."""

PARTS = (*KEYS, *PLACE)
"""An item in compact form: ``image`` (C, ...) float16 and ``label`` (1, ...) uint8 in the box, and :data:`PLACE`."""


class Compact(mt.Transform):
    """Takes ``image`` (C, ...), normalised, and ``label`` (1, ...), whole numbers to 255; makes :data:`PARTS`.

    Works on volumes (C, X, Y, Z) and pictures (C, H, W). float16 rounds a value by 2^-11 of it at most, far less than
    an image's noise. Nothing but this rounding is lost.

    Args:
        keys: ``("image",)`` where the label is no segmentation; it then passes through unchanged.
    """

    def __init__(self, keys: Sequence[str] = KEYS) -> None:
        self.keys = tuple(keys)

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        arrays = {key: convert_to_tensor(item[key], track_meta=False) for key in self.keys}
        arrays = {key: rounded(each) if key == "image" else each.to(torch.uint8) for key, each in arrays.items()}
        box = _box(torch.stack([(each != 0).any(dim=0) for each in arrays.values()]).any(dim=0))
        inside = (slice(None), *box)
        place = (torch.tensor([edge.start for edge in box]), torch.tensor(arrays["image"].shape[1:]))
        boxes = {key: each[inside].clone() for key, each in arrays.items()}
        return {**item, **boxes, **dict(zip(PLACE, place, strict=True))}


class Expand:
    """The way back from :class:`Compact`: zeros around the box, or with ``keep_box`` the box alone, on ``device``.

    It is no MONAI transform, so that MONAI's CacheDataset holds cases in memory as they are before it.
    """

    def __init__(
        self, device: torch.device | None = None, *, keep_box: bool = False, keys: Sequence[str] = KEYS
    ) -> None:
        self.device, self.keep_box, self.keys = device, keep_box, tuple(keys)

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        rest = {name: value for name, value in item.items() if name not in PLACE}
        rest |= {name: rest[name].to(device=self.device) for name in self.keys}
        if self.keep_box:
            return rest
        origin, full_size = (item[name].tolist() for name in PLACE)
        return {**rest, **{name: _placed(rest[name], origin, full_size) for name in self.keys}}


def rounded(image: torch.Tensor) -> torch.Tensor:
    """The values as float16; those beyond its range become its ends, as an infinite one would make every loss NaN."""
    most = torch.finfo(torch.float16).max
    return image.clamp(-most, most).to(torch.float16)


def pack(item: Mapping[str, Any], keys: Sequence[str] = KEYS) -> bytes:
    """An item in compact form as bytes: its parts in NumPy's own file format, one after another."""
    file = io.BytesIO()
    for name in (*keys, *PLACE):
        np.save(file, item[name].numpy(), allow_pickle=False)
    return file.getvalue()


def unpack(data: bytes, keys: Sequence[str] = KEYS) -> dict[str, torch.Tensor]:
    """The parts of an item from its bytes. Nothing in ``data`` is executed."""
    file = io.BytesIO(data)
    return {name: torch.from_numpy(np.load(file, allow_pickle=False)) for name in (*keys, *PLACE)}


def _box(mask: torch.Tensor) -> tuple[slice, ...]:
    """The smallest box that holds every True, and one voxel where there is none."""
    edges = []
    for axis in range(mask.ndim):
        others = [other for other in range(mask.ndim) if other != axis]
        held = mask.amax(dim=others).nonzero().flatten().tolist() or [0]
        edges.append(slice(held[0], held[-1] + 1))
    return tuple(edges)


def _placed(box: torch.Tensor, origin: list[int], full_size: list[int]) -> torch.Tensor:
    whole = box.new_zeros((box.shape[0], *full_size))
    place = tuple(slice(first, first + edge) for first, edge in zip(origin, box.shape[1:], strict=True))
    whole[(slice(None), *place)] = box
    return whole
