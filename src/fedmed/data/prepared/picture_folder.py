"""A folder of pictures as items of a data set, and the table of their probabilities: what an exported model runs on."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import monai.transforms as mt
from monai.utils import convert_to_tensor

from fedmed.data.image_file import PICTURES
from fedmed.data.picture_file import DICOM_ENDINGS

TABLE = "predictions.csv"


def picture_items(root: str) -> list[dict[str, Any]]:
    """An item for every picture at or below ``root``, by its name's ending: ``image``, its path, and ``file``, the same
    relative to ``root``. Hidden files are passed over.

    Raises:
        ValueError: there is none.
    """
    files = sorted(path for path in Path(root).rglob("*") if path.is_file() and path.name[0] != ".")
    pictures = [path for path in files if path.suffix.lower() in (*PICTURES, *DICOM_ENDINGS)]
    if not pictures:
        raise ValueError(f"{root} holds no picture ({', '.join((*PICTURES, *DICOM_ENDINGS))}); name another folder.")
    return [{"image": str(path), "file": path.relative_to(root).as_posix()} for path in pictures]


class WriteProbabilities(mt.Transform):
    """Writes ``pred`` (K,), probabilities, as a row of a table that begins anew with the first item.

    Beside the probability of each name stands what is told of the picture: the most probable name, or, of findings of
    which any number may be present, those that reach their thresholds.

    Args:
        output_dir: the folder of the table, :data:`TABLE`.
        names: (K,), in the order of the network's outputs.
        several: whether any number of names may hold for a picture.
        thresholds: (K,), None where a finding is never told; None where none are.
    """

    def __init__(
        self,
        output_dir: str,
        names: Sequence[str],
        several: bool = False,
        thresholds: Sequence[float | None] | None = None,
    ) -> None:
        self.table = Path(output_dir) / TABLE
        self.names = list(names)
        self.several = several
        self.thresholds = thresholds
        self._begun = False

    def __call__(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        found = convert_to_tensor(item["pred"], track_meta=False).float().cpu().tolist()
        rows = [[item["file"], self._told(found), *(f"{probability:.6f}" for probability in found)]]
        if not self._begun:
            self.table.parent.mkdir(parents=True, exist_ok=True)
            rows.insert(0, ["file", "present" if self.several else "class", *self.names])
        with self.table.open("a" if self._begun else "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
        self._begun = True
        return item

    def _told(self, found: Sequence[float]) -> str:
        if not self.several:
            return self.names[max(range(len(found)), key=found.__getitem__)]
        if self.thresholds is None:
            return "not decided"
        limits = zip(self.names, found, self.thresholds, strict=True)
        return "|".join(name for name, probability, limit in limits if limit is not None and probability >= limit)
