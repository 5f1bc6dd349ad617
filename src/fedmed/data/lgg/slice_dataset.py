"""Training items of single slices, taken out of their patients' prepared volumes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import monai.transforms as mt
import torch
from monai.data import CacheDataset
from torch.utils.data import Dataset

from fedmed.data.datalist import Case
from fedmed.data.lgg import lgg_transforms
from fedmed.data.prepared.cache import Caching
from fedmed.data.prepared.compact import KEYS, PLACE, Expand


class SliceDataset(Dataset[Mapping[str, torch.Tensor]]):
    """The slices of some patients in the order of ``cases``: ``image`` (3, H, W) and ``label`` (1, H, W).

    Their volumes lie in memory and on disk as ``caching`` says; without either a volume is made anew for each slice.

    Args:
        cases: one slice each. Those in one folder are a volume, in their order.
        caching: where prepared volumes are kept, and the device of the random transforms.
        image_size: edge of the square slices in pixels.
        random: MONAI's transforms of one slice, :func:`fedmed.data.lgg.lgg_transforms.training` for training.
    """

    def __init__(self, cases: Sequence[Case], caching: Caching, image_size: int, random: Sequence[Any]) -> None:
        self.transform = mt.Compose(random)
        self._expand = Expand(caching.device)
        folders: dict[Path, list[Case]] = {}
        places = []  # of each slice the volume's folder, and its place there
        for case in cases:
            slices = folders.setdefault(case.images[0].parent, [])
            places.append((case.images[0].parent, len(slices)))
            slices.append(case)
        numbers = {folder: number for number, folder in enumerate(folders)}
        self._places = [(numbers[folder], place) for folder, place in places]
        self._volumes = CacheDataset(
            [volume_item(slices, folder.name) for folder, slices in folders.items()],
            [lgg_transforms.volume(caching, image_size)],
            cache_rate=caching.share_in_memory, num_workers=1, progress=False, copy_cache=False,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self._places)

    def shows_tumour(self) -> list[bool]:
        """True for each slice of which the prepared label is not empty."""
        slices = (_compact_slice(self._volumes[volume], place) for volume, place in self._places)
        return [bool(each["label"].any()) for each in slices]

    def __getitem__(self, index: int) -> Mapping[str, torch.Tensor]:
        volume, place = self._places[index]
        whole = self._expand(_compact_slice(self._volumes[volume], place))
        made: Mapping[str, torch.Tensor] = self.transform({key: whole[key][:, 0] for key in KEYS})
        return made


def weights_for_share(chosen: Sequence[bool], share: float) -> list[float] | None:
    """Weights by which a share of what is drawn is chosen, and all of one kind are equally likely.

    None where all items are of one kind.
    """
    count = sum(chosen)
    if not 0 < count < len(chosen):
        return None
    return [share / count if each else (1 - share) / (len(chosen) - count) for each in chosen]


def volume_item(slices: Sequence[Case], name: str) -> dict[str, Any]:
    """The item of a patient as :func:`fedmed.data.lgg.lgg_transforms.deterministic` takes it; each case is a slice."""
    images = [str(case.images[0]) for case in slices]
    return {"image": images, "label": [str(case.target) for case in slices], "case": name}


def _compact_slice(volume: Mapping[str, Any], place: int) -> dict[str, torch.Tensor]:
    """One slice of a volume in compact form, in compact form itself: (C, 1, H, W)."""
    origin, size = (volume[name].clone() for name in PLACE)
    inside = place - int(origin[0])
    held = 0 <= inside < volume["image"].shape[1]
    origin[0], size[0] = 0, 1
    parts = {key: volume[key][:, inside : inside + 1] if held else volume[key][:, :0] for key in KEYS}
    return {**parts, **dict(zip(PLACE, (origin, size), strict=True))}
