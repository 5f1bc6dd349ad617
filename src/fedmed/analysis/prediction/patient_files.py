"""A new patient's four image files: found by the endings of their names, or named one by one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedmed.core.errors import InputError
from fedmed.data.brats.brats_layout import MODALITIES, NAMINGS, SUFFIXES, read_name, refuse_dicom
from fedmed.data.datalist import FILE_ENDING

FILES_SHOWN = 8
"""The most names of files in a message."""

ONE_BY_ONE = ", ".join(f"--{modality}" for modality in MODALITIES[:-1]) + f" and --{MODALITIES[-1]}"
"""The options that name the files, whatever they are called."""


@dataclass(frozen=True)
class PatientFiles:
    """The image files of a patient, by modality in the order of ``MODALITIES``."""

    name: str
    images: Mapping[str, Path]

    @property
    def reference(self) -> Path:
        """The file on whose grid results are written."""
        return self.images[MODALITIES[0]]


def files_by_name(inputs: Sequence[Path]) -> PatientFiles:
    """The files of a case folder, or among some files, by the endings of their names in BraTS 2018 or 2023.

    A segmentation among them is passed over, and so are other files of a folder.

    Raises:
        InputError: a path does not exist, a modality is missing or there twice, or files are of several cases.
    """
    folder = inputs[0] if len(inputs) == 1 and inputs[0].is_dir() else None
    files = _visible(folder) if folder else list(inputs)
    _require_files(files)
    images = _images(files)
    if folder is None:
        _refuse_unknown(files)
    elif not images:
        refuse_dicom(folder)
    where = "The input" if folder is None else str(folder)
    found = {modality: path for _, modality, path in images}
    _refuse_missing(where, found, files)
    _refuse_twice(where, images)
    case = _only_case(where, images)
    return _in_order(case if folder is None else folder.resolve().name, found)


def _images(files: Sequence[Path]) -> list[tuple[str, str, Path]]:
    """Case, modality and path of every file that is an image of a modality by its name."""
    named = [(*read, path) for path in files if (read := read_name(path.name))]
    return [(case, modality, path) for case, modality, path in named if modality in MODALITIES]


def named_files(given: Mapping[str, Path]) -> PatientFiles:
    """The files that the options of the modalities name; the patient is called by the t1ce's name.

    Raises:
        InputError: a modality is missing, a file does not exist, or its name is that of another modality.
    """
    missing = [modality for modality in MODALITIES if modality not in given]
    if missing:
        named = " and ".join(f"--{modality}" for modality in missing)
        raise InputError(f"There is no {named}; the model needs all of {ONE_BY_ONE}: name each file.")
    _require_files(given.values())
    for modality, path in given.items():
        read = read_name(path.name)
        if read and read[1] != modality:
            raise InputError(
                f"{path} is given as --{modality}, but its name says {read[1]}; give it as what it is, or rename it."
            )
    first = given[MODALITIES[0]]
    case = read_name(first.name)
    name = case[0] if case else FILE_ENDING.sub("", first.name)
    return _in_order(name, given)


def _in_order(name: str, found: Mapping[str, Path]) -> PatientFiles:
    return PatientFiles(name, {modality: found[modality] for modality in MODALITIES})


def _visible(folder: Path) -> list[Path]:
    """Without the ``._*`` companions that macOS leaves."""
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _require_files(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            raise InputError(f"{path} is a folder; expected one case folder alone, or a file a modality.")
        if not path.is_file():
            raise InputError(f"{path} does not exist; give a case folder or the files of four modalities.")


def _refuse_unknown(files: Sequence[Path]) -> None:
    for path in files:
        if not read_name(path.name):
            raise InputError(
                f"The name of {path} tells no modality; expected an ending of BraTS 2018 or 2023 such as "
                f"_t1ce.nii.gz: name the files with {ONE_BY_ONE}."
            )


def _refuse_missing(where: str, found: Mapping[str, Path], files: Sequence[Path]) -> None:
    missing = [modality for modality in MODALITIES if modality not in found]
    if missing:
        expected = " and ".join(map(_endings, missing)) if found else f"{_endings(MODALITIES[0])}, and so on"
        raise InputError(
            f"{where} lacks {', '.join(missing)} (there is {_listed(path.name for path in files)}); expected "
            f"names that end in {expected}: add the files, or name all four with {ONE_BY_ONE}."
        )


def _refuse_twice(where: str, images: Sequence[tuple[str, str, Path]]) -> None:
    for modality in MODALITIES:
        paths = [path.name for _, of, path in images if of == modality]
        if len(paths) > 1:
            raise InputError(
                f"{where} holds {len(paths)} files for {modality} ({_listed(paths)}); expected one: keep the right "
                f"one, or name the four with {ONE_BY_ONE}."
            )


def _only_case(where: str, images: Sequence[tuple[str, str, Path]]) -> str:
    """The one case that all files are of."""
    cases = sorted({case for case, _, _ in images})
    if len(cases) > 1:
        raise InputError(
            f"{where} holds files of several cases ({_listed(cases)}); give one case's, or name them with {ONE_BY_ONE}."
        )
    return cases[0]


def _endings(modality: str) -> str:
    place = MODALITIES.index(modality)
    return " or ".join(f"{naming.separator}{naming.image[place]}{SUFFIXES[0]}" for naming in NAMINGS.values())


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    return (", ".join(every[:FILES_SHOWN]) + (", ..." if len(every) > FILES_SHOWN else "")) or "no file"
