"""A site's list of cases, in MONAI's Decathlon form.

    {"label_scheme": "brats2018",
     "training":   [{"image": ["a_t1ce.nii.gz", "a_t1.nii.gz", ...], "label": "a_seg.nii.gz"}, ...],
     "validation": [...]}

Paths are relative to the site's dataset folder. NVIDIA FLARE's own BraTS18 lists are in this form without
``label_scheme``; a list that does not state one gets the task's default.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fedmed.core.errors import InputError
from fedmed.core.settings import advice_to_fill

SPLITS = ("training", "validation")

TESTING = "testing"
"""Where a list has the cases that no site trains or validates on."""

LABEL_ENDING = re.compile(r"(\.nii\.gz|\.[^.]*)$", re.IGNORECASE)
"""What a file's name has behind the case's."""


@dataclass(frozen=True)
class Case:
    """One case: its image files (one a modality, in the task's order) and its label file.

    Any further keys of the entry (patient, grade, fold ...) are kept in ``extra``; a patient is text that is not empty.
    """

    image: tuple[Path, ...]
    label: Path
    extra: Mapping[str, Any]
    shares_folder: bool = False  # with labels of other cases, as in the Decathlon's labelsTr

    @property
    def name(self) -> str:
        """By what people know the case: the folder that holds it, or its label file where cases share a folder."""
        return LABEL_ENDING.sub("", self.label.name) if self.shares_folder else self.label.parent.name


@dataclass(frozen=True)
class Datalist:
    """A site's cases, with absolute paths."""

    path: Path
    training: tuple[Case, ...]
    validation: tuple[Case, ...]
    label_scheme: str | None

    def cases(self, split: str) -> tuple[Case, ...]:
        """The cases of one split, ``training`` or ``validation``."""
        if split not in SPLITS:
            raise InputError(f"{split!r} is no split of a datalist; choose one of {', '.join(SPLITS)}.")
        return self.training if split == "training" else self.validation

    @property
    def splits(self) -> dict[str, tuple[Case, ...]]:
        """The cases by split."""
        return {split: self.cases(split) for split in SPLITS}

    @property
    def all_cases(self) -> tuple[Case, ...]:
        return self.training + self.validation


def datalist_path(root: Path, site: str) -> Path:
    """Where ``site`` finds its list: ``root/<site>.json``, or ``root`` itself when it is a file."""
    if root.is_file():
        return root
    if not root.is_dir():
        raise InputError(
            f"The datalist path {root} does not exist; give the folder that holds {site}.json with "
            "--datalist_json_path or the environment variable DATALIST_ROOT."
        )
    path = root / f"{site}.json"
    if not path.is_file():
        found = ", ".join(sorted(p.name for p in root.glob("*.json"))) or "no .json file"
        raise InputError(f"{site} has no datalist: {path} is not there (the folder holds {found}); make one for it.")
    return path


def load_datalist(path: Path, base_dir: Path) -> Datalist:
    """Read one list; its paths are taken relative to ``base_dir``.

    Raises:
        InputError: the file is no JSON object, an entry is malformed, or a split is missing or empty.
    """
    document = _read_object(path)
    training, validation = (_cases(document, split, path, base_dir) for split in SPLITS)
    folders = _shared_folders((*training, *validation))
    named = [tuple(_named(case, folders) for case in cases) for cases in (training, validation)]
    return Datalist(path, named[0], named[1], _scheme(document, path))


def open_datalist(path: Path, base_dir: Path) -> Datalist:
    """Read one list whose data are there, at least some of them: the audit tells of single files that are missing.

    Raises:
        InputError: as :func:`load_datalist`, or ``base_dir`` holds no file of any case.
    """
    found = load_datalist(path, base_dir)
    cases = found.all_cases
    if not any(file.is_file() for case in cases for file in (case.label, *case.image)):
        raise InputError(
            f"{base_dir} holds none of the {len(cases)} cases of {path}: {cases[0].label} and the others are not "
            f"there; {advice_to_fill(base_dir)}, or give the folder that the list's paths start in with "
            "--dataset_base_dir or the environment variable DATASET_ROOT."
        )
    return found


def load_split(path: Path, base_dir: Path, split: str) -> tuple[tuple[Case, ...], str | None]:
    """Read one split of a list that need not have the others, such as ``testing``; the cases and the label scheme.

    Raises:
        InputError: the file is no JSON object, an entry is malformed, or the split is missing or empty.
    """
    document = _read_object(path)
    cases = _cases(document, split, path, base_dir)
    others = [_cases(document, other, path, base_dir) for other in (*SPLITS, TESTING) if document.get(other)]
    folders = _shared_folders(case for each in others for case in each)  # so that a case's name is that of the run
    return tuple(_named(case, folders) for case in cases), _scheme(document, path)


def write_datalist(
    path: Path,
    training: Iterable[Mapping[str, Any]],
    validation: Iterable[Mapping[str, Any]],
    label_scheme: str,
) -> None:
    """Write a list of entries whose paths are already relative to the dataset folder."""
    document = {"label_scheme": label_scheme, "training": list(training), "validation": list(validation)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(list_json(document))


def list_json(document: Mapping[str, Any]) -> bytes:
    """A list as JSON, with a case a line."""
    fields = (f"  {json.dumps(key)}: {_value(value)}" for key, value in document.items())
    return ("{\n" + ",\n".join(fields) + "\n}\n").encode()


def _value(value: Any) -> str:
    if not isinstance(value, list):
        return json.dumps(value)
    return "[\n" + ",\n".join(f"    {json.dumps(entry)}" for entry in value) + "\n  ]"


def _read_object(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"The datalist {path} cannot be read as JSON ({error}); write it anew.") from error
    if not isinstance(document, dict):
        raise InputError(f"The datalist {path} holds a {type(document).__name__}; it must be a JSON object.")
    return document


def _cases(document: Mapping[str, Any], split: str, path: Path, base_dir: Path) -> tuple[Case, ...]:
    entries = document.get(split)
    if not isinstance(entries, list) or not entries:
        found = "missing" if entries is None else "empty" if entries == [] else f"a {type(entries).__name__}"
        raise InputError(f"The {split} list of {path} is {found}; it must name at least one case.")
    return tuple(_case(entry, base_dir, f"{split}[{i}] of {path}") for i, entry in enumerate(entries))


def _scheme(document: Mapping[str, Any], path: Path) -> str | None:
    scheme = document.get("label_scheme")
    if scheme is not None and not isinstance(scheme, str):
        raise InputError(f"The label_scheme of {path} is {scheme!r:.80}; expected a name such as brats2018.")
    return scheme


def _shared_folders(cases: Iterable[Case]) -> set[Path]:
    """The folders that hold the labels of several cases, and so name none of them."""
    counts = Counter(label.parent for label in {case.label for case in cases})
    return {folder for folder, count in counts.items() if count > 1}


def _named(case: Case, shared_folders: set[Path]) -> Case:
    return replace(case, shares_folder=case.label.parent in shared_folders)


def _case(entry: Any, base_dir: Path, where: str) -> Case:
    image = entry.get("image") if isinstance(entry, dict) else None
    label = entry.get("label") if isinstance(entry, dict) else None
    images = [image] if isinstance(image, str) else image
    listed = isinstance(images, list) and images and all(isinstance(i, str) for i in images)
    if not isinstance(label, str) or not isinstance(images, list) or not listed:
        raise InputError(f'{where} is {entry!r:.120}; expected {{"image": [file, ...], "label": file}}.')
    extra = {key: value for key, value in entry.items() if key not in ("image", "label", "patient")}
    extra |= _patient(entry.get("patient"), f"{where} ({label})")
    return Case(tuple(base_dir / i for i in images), base_dir / label, extra)


def _patient(value: Any, where: str) -> dict[str, str]:
    """The patient as an entry states it; nothing where it states none, so that the case's name says it."""
    if isinstance(value, bool) or not (value is None or isinstance(value, str | int)):
        raise InputError(f"{where} has the patient {value!r:.80}; expected text or a whole number: correct it there.")
    text = "" if value is None else str(value).strip()
    return {"patient": text} if text else {}
