"""The layout of the lower-grade glioma set as Kaggle has it: a folder a patient with a file and a mask a slice.

TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_12.tif, TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_12_mask.tif, data.csv
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmed.core.errors import InputError, counted, refuse

FOLDER = re.compile(r"(?P<patient>[A-Za-z0-9-]+_(?P<institution>[A-Za-z0-9-]+)_[A-Za-z0-9-]+)(_[A-Za-z0-9-]+)?")
"""The name of a patient's folder: the set, the institution, the patient, and the date if there is one."""

SLICE = re.compile(r"(?P<folder>.+)_(?P<number>\d{1,6})(?P<mask>_mask)?\.tif")
"""The name of a slice's file, or of its mask."""

ENDINGS = (".tif", ".tiff")

TABLE = "data.csv"
"""The table of the patients."""

MOST_NAMED = 3
"""Files that a sentence names."""


@dataclass(frozen=True)
class LggSlice:
    """One slice on disk, with its mask."""

    image: Path
    mask: Path
    number: int
    patient: str
    institution: str

    @property
    def name(self) -> str:
        """The folder's name and the slice's number in as many digits as the alphabet needs to keep their order."""
        return f"{self.image.parent.name}_{self.number:06d}"

    def entry(self, root: Path) -> dict[str, Any]:
        """The slice as an entry of a datalist, with paths relative to ``root`` (which must hold it)."""
        image, label = (path.relative_to(root).as_posix() for path in (self.image, self.mask))
        return {"image": image, "label": label, "patient": self.patient, "institution": self.institution}


@dataclass(frozen=True)
class LggPatient:
    """One patient on disk: a scan, whose slices are in the order of their numbers."""

    folder: Path
    patient: str
    institution: str
    slices: tuple[LggSlice, ...]

    @property
    def name(self) -> str:
        return self.folder.name


@dataclass(frozen=True)
class LggTree:
    """A set on disk.

    Attributes:
        root: its folder.
        patients: in the order of their folders' names.
        odd: a sentence on each thing that was passed over.
    """

    root: Path
    patients: tuple[LggPatient, ...]
    odd: tuple[str, ...]

    @property
    def institutions(self) -> dict[str, list[LggPatient]]:
        """The patients of each institution, in alphabetical order of the codes."""
        codes = sorted({patient.institution for patient in self.patients})
        return {code: [patient for patient in self.patients if patient.institution == code] for code in codes}


def find_lgg(root: Path) -> LggTree:
    """Every patient of a set; no file is opened. Hidden files are passed over.

    Raises:
        InputError: there is no such folder, or it holds no patient.
        Problems: folders or files are not as expected; a sentence for each.
    """
    if not root.is_dir():
        raise InputError(f"The dataset folder {root} does not exist; give the one that holds the patients' folders.")
    found, odd, problems = [], list[str](), list[str]()
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        files = _shown_files(folder)
        if any(path.suffix.lower() in ENDINGS for path in files):
            patient, passed_over, wrong = _patient(folder, files)
            found.append(patient)
            odd += passed_over
            problems += wrong
        else:
            odd.append(f"{folder} holds no .tif file: passed over.")
    patients = tuple(filter(None, found))
    refuse([*problems, *_twice(patients)])
    _require_patients(root, patients)
    return LggTree(root, patients, tuple(odd))


def _require_patients(root: Path, patients: Sequence[LggPatient]) -> None:
    """Refuse a folder without patients; the sentence names one further in that has some."""
    if not patients:
        inner = [path.parent.parent for path in sorted(root.glob("*/*/*_mask.tif"))]
        hint = f"give {inner[0]}" if inner else "give the folder kaggle_3m"
        raise InputError(f"{root} holds no patient's folder such as TCGA_CS_4941_19960909 with .tif files; {hint}.")


def _patient(folder: Path, files: Sequence[Path]) -> tuple[LggPatient | None, list[str], list[str]]:
    """The patient of a folder, sentences on what was passed over, and on what is wrong."""
    named = FOLDER.fullmatch(folder.name)
    if not named:
        sentence = (
            f"The folder {folder.name!r} with .tif files is not named as TCGA_CS_4941_19960909 is (set, institution, "
            "patient and date, each of ASCII letters, digits and '-'); rename it and its files, or take it out."
        )
        return None, [], [sentence]
    found = [match for path in files if (match := SLICE.fullmatch(path.name)) and match["folder"] == folder.name]
    images, masks = _by_number(folder, found, ""), _by_number(folder, found, "_mask")
    problems = [*_alone(images, masks, "image", "mask"), *_alone(masks, images, "mask", "image")]
    problems += _odd_numbers(folder, found, len(images) + len(masks))
    others = sorted({*files} - {folder / match.string for match in found})
    odd = [f"{folder} holds other files than slices ({_first(others)}), passed over."] if others else []
    patient, institution = named["patient"], named["institution"]
    slices = [
        LggSlice(images[number], masks[number], number, patient, institution) for number in sorted({*images} & {*masks})
    ]
    return LggPatient(folder, patient, institution, tuple(slices)), odd, problems


def _by_number(folder: Path, found: Sequence[re.Match[str]], mask: str) -> dict[int, Path]:
    """The files of one kind by the number of the slice."""
    return {int(match["number"]): folder / match.string for match in found if (match["mask"] or "") == mask}


def _odd_numbers(folder: Path, found: Sequence[re.Match[str]], different: int) -> Iterator[str]:
    if not found:
        yield f"{folder} holds no slice such as {folder.name}_1.tif; rename its files, or take it out."
    elif different < len(found):
        yield f"{folder} has several files of one number, such as _1 and _01; expected one a slice: rename them."


def _alone(these: dict[int, Path], others: dict[int, Path], this: str, other: str) -> list[str]:
    """A sentence on the files of one kind that lack one of the other kind."""
    alone = [these[number] for number in sorted({*these} - {*others})]
    if not alone:
        return []
    verb = "has" if len(alone) == 1 else "have"
    return [
        f"{counted(len(alone), this)} in {alone[0].parent} {verb} no {other}: {_first(alone)}; add what lacks, or take "
        "them out."
    ]


def _twice(patients: Sequence[LggPatient]) -> list[str]:
    folders: dict[str, list[str]] = {}
    for each in patients:
        folders.setdefault(each.patient, []).append(each.name)
    return [
        f"The patient {patient} has {len(names)} folders ({', '.join(names)}); expected one scan a patient: take the "
        "others out."
        for patient, names in folders.items()
        if len(names) > 1
    ]


def _first(paths: Sequence[Path]) -> str:
    left = len(paths) - MOST_NAMED
    return ", ".join(path.name for path in paths[:MOST_NAMED]) + (f" and {left} more" if left > 0 else "")


def _shown_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
