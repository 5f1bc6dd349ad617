"""One brain MR image of a set: its place, class and hospital, and the group of its near copies."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class BrainImage:
    """One image.

    The sets name no patients. So that near copies never lie on two sides of a split, the group of an image stands in
    the patient's place in lists.

    Attributes:
        index: its place among all images of the set, from 0.
        path: of the file.
        file: the same relative to the set's folder; the image's name.
        label: one of the four classes.
        hospital: the name of its hospital; "" in a set without hospitals.
        official_test: True for an image of the published test set.
        group: the index of the first image of its group of near copies.
    """

    index: int
    path: Path
    file: str
    label: str
    hospital: str = ""
    official_test: bool = False
    group: int = -1

    @property
    def name(self) -> str:
        return self.file

    @property
    def patient(self) -> str:
        return f"image-{self.group if self.group >= 0 else self.index:06d}"

    def entry(self, root: Path) -> dict[str, Any]:
        """The image as an entry of a datalist, with its path relative to ``root``."""
        image = self.path.relative_to(root).as_posix()
        hospital = {"hospital": self.hospital} if self.hospital else {}
        return {"image": image, "label": self.label, "patient": self.patient, "name": self.name, **hospital}
