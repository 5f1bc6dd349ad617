"""The BraTS layouts: names of cases, places of their files, label schemes."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from fedmed.core.errors import InputError
from fedmed.data.image_file import is_dicom

MODALITIES = ("t1ce", "t1", "t2", "flair")
"""The order of a case's image files, and so of the network's input channels, in the published lists."""

SUFFIXES = (".nii.gz", ".nii")
"""The file endings read; where a case has both, the first is taken."""

GRADES = ("HGG", "LGG")

LOOKED_AT = 200
"""So many files of a tree without cases are looked at to find DICOM."""

PHANTOM_MARKER = "PHANTOM.json"
"""The file that marks a complete synthetic dataset, and states how it was made."""


@dataclass(frozen=True)
class LabelScheme:
    """The values a segmentation may hold. 0 is background, 1 the necrotic core and 2 oedema in every scheme."""

    name: str
    labels: tuple[int, ...]
    enhancing: int


LABEL_SCHEMES: Mapping[str, LabelScheme] = {
    "brats2018": LabelScheme("brats2018", (0, 1, 2, 4), enhancing=4),
    "brats2023": LabelScheme("brats2023", (0, 1, 2, 3), enhancing=3),
}

DEFAULT_SCHEME = "brats2018"

NECROSIS, OEDEMA = 1, 2
"""Labels that are the same in every scheme."""


@dataclass(frozen=True)
class Naming:
    """The naming of a case's files in a layout: ``<case><separator><part>.nii.gz``."""

    scheme: str
    separator: str
    image: tuple[str, ...]  # in the order of MODALITIES
    label: str = "seg"

    @property
    def parts(self) -> tuple[str, ...]:
        return (*self.image, self.label)

    def path(self, folder: Path, case: str, part: str) -> Path:
        """The compressed file of one part (a modality's short name or ``seg``) of a case."""
        return folder / f"{case}{self.separator}{part}{SUFFIXES[0]}"


NAMINGS: Mapping[str, Naming] = {
    # 2018 to 2021
    "brats2018": Naming("brats2018", "_", ("t1ce", "t1", "t2", "flair")),
    # 2023 and later
    "brats2023": Naming("brats2023", "-", ("t1c", "t1n", "t2w", "t2f")),
}


@dataclass(frozen=True)
class CaseFiles:
    """One case on disk: its four image files in the order of ``MODALITIES``, and its segmentation."""

    name: str
    image: tuple[Path, ...]
    label: Path
    scheme: str
    grade: str | None
    patient: str

    def entry(self, root: Path) -> dict[str, Any]:
        """The case as an entry of a datalist, with paths relative to ``root`` (which must hold the case)."""
        entry: dict[str, Any] = {
            "image": [path.relative_to(root).as_posix() for path in self.image],
            "label": self.label.relative_to(root).as_posix(),
            "patient": self.patient,
        }
        return entry if self.grade is None else {**entry, "grade": self.grade}


def label_scheme(name: str | None) -> LabelScheme:
    """The label scheme called ``name``; None, for a list that states none, gives BraTS 2018's.

    Raises:
        InputError: no scheme has that name.
    """
    key = DEFAULT_SCHEME if name is None else name
    if key not in LABEL_SCHEMES:
        raise InputError(f"The label scheme {name!r} is not known; choose one of {', '.join(LABEL_SCHEMES)}.")
    return LABEL_SCHEMES[key]


def patient_id(case_name: str) -> str:
    """The patient a case belongs to, so that two scans of one patient never land on two sides of a split.

    A case name ends in the number of the visit only in some years, so only these lose their last group:

    - 2017 to 2019, ``Brats18_<centre>_<number>_<visit>``: ``Brats18_TCIA09_177_1`` is of ``Brats18_TCIA09_177``;
    - 2023 and later, ``BraTS-<task>-<number>-<visit>``: ``BraTS-GLI-00005-000`` is of ``BraTS-GLI-00005``.

    In ``BraTS20_Training_001`` and ``BraTS2021_00000`` the last number is the patient, so the whole name is. Any
    other name is taken whole too: to cut a group from a name we do not know would join strangers into one patient.
    """
    match = re.fullmatch(r"(brats1[789]_[^_]+_[^_]+)_\d+|(brats-[a-z]+-\d+)-\d+", case_name, re.IGNORECASE)
    if match is None:
        return case_name
    return match[1] or match[2]


def institution_of(case_name: str) -> str | None:
    """The institution in the name of a case of 2017 to 2019, None in any other name.

    ``Brats18_CBICA_AAB_1`` is of CBICA, ``Brats18_TCIA01_147_1`` of TCIA01, and ``Brats18_2013_2_1`` of 2013, which
    stands for the challenge of that year: it gathered several centres that the names do not tell apart.
    """
    match = re.fullmatch(r"brats1[789]_([^_]+)_[^_]+_\d+", case_name, re.IGNORECASE)
    return None if match is None else match[1]


def part_in_name(file_name: str) -> str | None:
    """The part that a file's name states: one of ``MODALITIES`` or ``label``; None for a name of neither naming."""
    case_and_part = read_name(file_name)
    return case_and_part and case_and_part[1]


def read_name(file_name: str) -> tuple[str, str] | None:
    """The case and the part that a file's name states; None for a name of neither naming."""
    for naming in NAMINGS.values():
        for part, stated in zip(naming.parts, (*MODALITIES, "label"), strict=True):
            for suffix in SUFFIXES:
                ending = f"{naming.separator}{part}{suffix}"
                if file_name.endswith(ending):
                    return file_name.removesuffix(ending), stated
    return None


def find_case_files(folder: Path) -> CaseFiles:
    """The files of the case in ``folder``, which carries the case's name.

    Raises:
        InputError: no such folder, it has files of both namings or of none, or one of the five files is missing.
    """
    if not folder.is_dir():
        raise InputError(f"The case folder {folder} does not exist; give the folder that holds the case's files.")
    name, naming = folder.absolute().name, _naming_of(folder)
    paths = _paths_of(folder, name, naming)
    above = folder.absolute().parent.name.upper()
    return CaseFiles(
        name=name,
        image=tuple(paths[part] for part in naming.image),
        label=paths[naming.label],
        scheme=naming.scheme,
        grade=above if above in GRADES else None,
        patient=patient_id(name),
    )


def _paths_of(folder: Path, name: str, naming: Naming) -> dict[str, Path]:
    """The file of each part of a case.

    Raises:
        InputError: one is missing.
    """
    found = {part: _existing(naming.path(folder, name, part)) for part in naming.parts}
    missing = [part for part, path in found.items() if path is None]
    if missing:
        wanted = ", ".join(naming.path(folder, name, part).name for part in missing)
        raise InputError(
            f"The case folder {folder} lacks {', '.join(missing)}: looked for {wanted} (or .nii) and found "
            f"{', '.join(_file_names(folder))}; add the files, or take the folder out of the tree."
        )
    return {part: path for part, path in found.items() if path is not None}


def find_cases(tree: Path, incomplete: list[InputError] | None = None) -> list[CaseFiles]:
    """Every case below ``tree``, sorted by name.

    A case folder is one that holds a file of either naming. Its grade is the name of the folder directly above when
    that is ``HGG`` or ``LGG``, else None. Links are followed. Hidden folders are passed over, and so is a synthetic
    dataset in a folder below ``tree`` (give its own folder to get its cases).

    An incomplete case ends the search, or where the list ``incomplete`` is given, is put there and passed over.

    Raises:
        InputError: no such folder, no case in it, a case is incomplete, two folders have one case name, or the tree
            mixes label schemes.
    """
    if not tree.is_dir():
        raise InputError(f"The dataset folder {tree} does not exist; give the folder that holds the BraTS cases.")
    cases = sorted(_complete_cases(tree, incomplete), key=lambda case: case.name)
    if not cases and not incomplete:
        refuse_dicom(tree)
        raise InputError(
            f"No case was found below {tree}; looked for folders with files such as <case>_t1ce.nii.gz "
            "(BraTS 2018 to 2021) or <case>-t1c.nii.gz (2023 and later), passing over synthetic datasets inside it; "
            "give the folder that holds them."
        )
    _refuse_twins(cases)
    schemes = {case.scheme: case for case in cases}
    if len(schemes) > 1:
        examples = " and ".join(f"{scheme} (such as {case.label.parent})" for scheme, case in schemes.items())
        raise InputError(f"{tree} mixes label schemes: {examples}; keep each in a tree of its own.")
    return cases


def _complete_cases(tree: Path, incomplete: list[InputError] | None) -> Iterator[CaseFiles]:
    for folder in _case_folders(tree):
        try:
            yield find_case_files(folder)
        except InputError as error:
            if incomplete is None:
                raise
            incomplete.append(error)


def refuse_dicom(tree: Path) -> None:
    """Refuse a tree without cases that holds series as they come from the scanner.

    Raises:
        InputError: it holds a DICOM file.
    """
    for path in islice(tree.rglob("*"), LOOKED_AT):
        if path.is_file() and is_dicom(path):
            raise InputError(
                f"{tree} holds no case, but DICOM files such as {path.name}; expected BraTS cases in NIfTI, one volume "
                "a modality, co-registered and skull-stripped: convert the series first, for example with dcm2niix."
            )


def _naming_of(folder: Path) -> Naming:
    """The one naming that the files of ``folder`` follow."""
    names = _file_names(folder)
    matching = [naming for naming in NAMINGS.values() if any(_follows(name, naming) for name in names)]
    if len(matching) == 1:
        return matching[0]
    found = ", ".join(names) or "no file"
    case = folder.absolute().name
    forms = " or ".join(f"{case}{n.separator}{{{','.join(n.parts)}}}.nii.gz" for n in NAMINGS.values())
    problem = "mixes both namings of BraTS" if matching else "holds no BraTS case"
    raise InputError(f"The case folder {folder} {problem}: found {found}; keep the files of one form there, {forms}.")


def _follows(file_name: str, naming: Naming) -> bool:
    parts = tuple(f"{naming.separator}{part}{suffix}" for part in naming.parts for suffix in SUFFIXES)
    return file_name.endswith(parts)


def _file_names(folder: Path) -> list[str]:
    """The files of a folder, without hidden ones such as the ``._*`` companions that macOS leaves."""
    return sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _existing(compressed: Path) -> Path | None:
    stem = compressed.name.removesuffix(SUFFIXES[0])
    candidates = (compressed.with_name(stem + suffix) for suffix in SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def _case_folders(tree: Path) -> Iterator[Path]:
    def stop(error: OSError) -> None:
        raise error  # os.walk would pass over a folder it may not read, and the cases in it would go missing

    for folder, folders, files in os.walk(tree, onerror=stop, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if PHANTOM_MARKER in files and Path(folder) != tree:
            folders.clear()  # synthetic cases must not get among those of patients
            continue
        if _holds_a_case(files):
            folders.clear()  # a case holds no further cases
            yield Path(folder)


def _holds_a_case(files: Sequence[str]) -> bool:
    """True where a file that is not hidden follows one of the namings."""
    visible = [name for name in files if not name.startswith(".")]
    return any(_follows(name, naming) for name in visible for naming in NAMINGS.values())


def _refuse_twins(cases: Sequence[CaseFiles]) -> None:
    for one, other in pairwise(cases):
        if one.name == other.name:
            raise InputError(
                f"Two folders hold a case called {one.name}: {one.label.parent} and {other.label.parent}; "
                "case names must differ, so remove or rename one."
            )
