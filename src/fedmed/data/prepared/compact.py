"""A prepared case in its smallest lossless form: the box around all that is not zero, in few bits a voxel.

Nothing is imported from the rest of the project here, because this file's text stands for what it does in the key of
what is kept on disk (:mod:`fedmed.data.prepared.transform_key`).
"""

import io
from collections.abc import Mapping
from typing import Any

import monai.transforms as mt
import numpy as np
import torch
from monai.utils import convert_to_tensor

PARTS = ("image", "label", "origin", "full_size")
"""An item in compact form: ``image`` (C, X, Y, Z) float16 and ``label`` (1, X, Y, Z) uint8 in the box, and the box's
first voxel and the size of the whole volume, both (3,) int64."""


class Compact(mt.Transform):
    """Takes ``image`` (C, X, Y, Z), normalised, and ``label`` (1, X, Y, Z), whole numbers to 255; makes :data:`PARTS`.

    float16 rounds a value by 2^-11 of it at most, far less than an image's noise. Nothing but this rounding is lost.
    """

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        image = rounded(convert_to_tensor(item["image"], track_meta=False))
        label = convert_to_tensor(item["label"], track_meta=False).to(torch.uint8)
        box = _box((image != 0).any(dim=0) | (label[0] != 0))
        origin = torch.tensor([edge.start for edge in box])
        full_size = torch.tensor(image.shape[1:])
        inside = (slice(None), *box)
        parts = (image[inside].clone(), label[inside].clone(), origin, full_size)
        return {**item, **dict(zip(PARTS, parts, strict=True))}


class Expand:
    """The way back from :class:`Compact`: zeros around the box, or with ``keep_box`` the box alone, on ``device``.

    It is no MONAI transform, so that MONAI's CacheDataset holds cases in memory as they are before it.
    """

    def __init__(self, device: torch.device | None = None, *, keep_box: bool = False) -> None:
        self.device, self.keep_box = device, keep_box

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        rest = {name: value for name, value in item.items() if name not in ("origin", "full_size")}
        rest |= {name: rest[name].to(device=self.device) for name in ("image", "label")}
        if self.keep_box:
            return rest
        origin, full_size = item["origin"].tolist(), item["full_size"].tolist()
        return {**rest, **{name: _placed(rest[name], origin, full_size) for name in ("image", "label")}}


def rounded(image: torch.Tensor) -> torch.Tensor:
    """As float16; values beyond its range become its ends, as an infinite one would make every loss NaN."""
    most = torch.finfo(torch.float16).max
    return image.clamp(-most, most).to(torch.float16)


def pack(item: Mapping[str, Any]) -> bytes:
    """An item in compact form as bytes: its parts in NumPy's own file format, one after another."""
    file = io.BytesIO()
    for name in PARTS:
        np.save(file, item[name].numpy(), allow_pickle=False)
    return file.getvalue()


def unpack(data: bytes) -> dict[str, torch.Tensor]:
    """What :func:`pack` took. Nothing in ``data`` is executed."""
    file = io.BytesIO(data)
    return {name: torch.from_numpy(np.load(file, allow_pickle=False)) for name in PARTS}


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
