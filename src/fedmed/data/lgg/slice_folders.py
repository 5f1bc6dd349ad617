"""Folders of slices as items of a data set, and the masks that are written of them: what an exported model runs on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import monai.transforms as mt
import numpy as np
from monai.utils import convert_to_tensor

from fedmed.data.lgg.slice_files import mask_content, mask_path, slices_in


def folder_items(root: str) -> list[dict[str, Any]]:
    """An item for every folder at or below ``root`` with slices: ``image``, its files in order, and ``folder``.

    Raises:
        ValueError: there is none.
    """
    folders = [Path(root), *sorted(path for path in Path(root).rglob("*") if path.is_dir())]
    items = [{"image": list(map(str, slices)), "folder": str(each)} for each in folders if (slices := slices_in(each))]
    if not items:
        raise ValueError(f"{root} holds no folder with slices (.tif or .png); name the folder of the patients.")
    return items


class WriteMasks(mt.Transform):
    """Writes ``pred`` (1, S, H, W), probabilities on the pixels of the slices of ``folder``, as a mask a slice.

    The masks of a folder lie in one of its name in ``output_dir``.
    """

    def __init__(self, output_dir: str, threshold: float = 0.5) -> None:
        self.output_dir = output_dir
        self.threshold = threshold

    def __call__(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        folder = Path(item["folder"]).resolve()
        masks = convert_to_tensor(item["pred"], track_meta=False).cpu().numpy()[0] > self.threshold
        out = Path(self.output_dir) / folder.name
        out.mkdir(parents=True, exist_ok=True)
        for path, mask in zip(slices_in(folder), masks, strict=True):
            place = mask_path(path, out)
            place.write_bytes(mask_content(np.asarray(mask), place))
        return item
