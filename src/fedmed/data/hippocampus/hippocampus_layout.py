"""The layout of the hippocampus set of the Medical Segmentation Decathlon, and the facts of its cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fedmed.core.errors import InputError
from fedmed.data.audit.case_findings import Rules
from fedmed.data.datalist import FILE_ENDING
from fedmed.data.image_file import read_image

FOLDERS = (("images", "labels"), ("imagesTr", "labelsTr"))
"""The folders of images and of labels, of which one pair lies in a dataset; the second is the Decathlon's own."""

ANTERIOR, POSTERIOR = 1, 2
"""Labels; 0 is background."""

MR = "mr"
"""The name of the one image of a case."""

SOURCES = ("8-bit", "thousands", "millions")
"""The kinds of intensities, by which the set's sources differ: whole numbers to 255, to thousands, or far above."""

MILLIONS = 1e5
"""A volume whose values reach this is of the third source; in the set nothing lies between 5,000 and 350,000."""

HIPPOCAMPUS_RULES = Rules(
    (MR,), dimensions=3, labels=(0, ANTERIOR, POSTERIOR), scheme="hippocampus", foreground="hippocampus"
)
"""The form that the audit expects: one volume, and a segmentation on its grid."""


@dataclass(frozen=True)
class HippocampusCase:
    """One case on disk. The set names no patients, so that each case counts as one of its own."""

    image: Path
    label: Path

    @property
    def name(self) -> str:
        return FILE_ENDING.sub("", self.image.name)

    @property
    def patient(self) -> str:
        return self.name

    def entry(self, root: Path) -> dict[str, Any]:
        """The case as an entry of a datalist, with paths relative to ``root`` (which must hold the case)."""
        image, label = (path.relative_to(root).as_posix() for path in (self.image, self.label))
        return {"image": image, "label": label, "patient": self.patient}


@dataclass(frozen=True)
class CaseMeasures:
    """The facts of a case that its voxels state: its source, and the volume of the whole hippocampus in ml."""

    source: str
    volume_ml: float


def find_hippocampus_cases(tree: Path) -> list[HippocampusCase]:
    """Every case of a dataset folder, sorted by name; hidden files are passed over.

    Raises:
        InputError: there is no such folder, it lacks the folders of images and labels, or an image has no label.
    """
    images, labels = _folders(tree)
    files = sorted(path for path in images.iterdir() if path.is_file() and not path.name.startswith("."))
    cases = [HippocampusCase(path, labels / path.name) for path in files if path.name.endswith((".nii", ".nii.gz"))]
    if not cases:
        raise InputError(f"{images} holds no NIfTI file; expected hippocampus_001.nii.gz and so on: add them.")
    without = [case for case in cases if not case.label.is_file()]
    if without:
        raise InputError(
            f"{len(without)} of the {len(cases)} images in {images} have no label, such as {without[0].image.name}; "
            f"expected {without[0].label}: add the labels, or take the images out."
        )
    return cases


def measures_of(case: HippocampusCase) -> CaseMeasures:
    """Measure a case by its files.

    Raises:
        InputError: a file cannot be read, or is no volume.
    """
    image, label = read_image(case.image), read_image(case.label)
    for path, found in ((case.image, image), (case.label, label)):
        if found.dimensions != 3:
            raise InputError(f"{path} has {found.dimensions} dimensions; expected a 3D volume: export it again.")
    voxel_ml = float(np.prod(label.spacing)) / 1000
    return CaseMeasures(source_of(image.voxels), int(np.count_nonzero(label.voxels)) * voxel_ml)


def source_of(voxels: np.ndarray) -> str:
    """The source that an image's stored intensities tell."""
    eight_bit, thousands, millions = SOURCES
    if voxels.dtype == np.uint8:
        return eight_bit
    return millions if float(voxels.max()) >= MILLIONS else thousands


def _folders(tree: Path) -> Sequence[Path]:
    if not tree.is_dir():
        raise InputError(f"The dataset folder {tree} does not exist; give the one that holds images and labels.")
    for pair in FOLDERS:
        folders = [tree / name for name in pair]
        if all(folder.is_dir() for folder in folders):
            return folders
    expected = " or ".join(" and ".join(pair) for pair in FOLDERS)
    raise InputError(f"{tree} holds no hippocampus set; expected the folders {expected} in it: give that folder.")
