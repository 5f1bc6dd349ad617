"""A site's list of cases, in MONAI's Decathlon form.

    {"label_scheme": "brats2018",
     "training":   [{"image": ["a_t1ce.nii.gz", "a_t1.nii.gz", ...], "label": "a_seg.nii.gz"}, ...],
     "validation": [...]}

Paths are relative to the site's dataset folder. The published BraTS18 lists are in this form without
``label_scheme``; a list that does not state one gets the task's default.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmed.errors import InputError

SPLITS = ("training", "validation")


@dataclass(frozen=True)
class Case:
    """One case: its image files (one a modality, in the task's order) and its label file.

    Any further keys of the entry (patient, grade, fold ...) are kept in ``extra``.
    """

    image: tuple[Path, ...]
    label: Path
    extra: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of the folder that holds the case, by which people know it."""
        return self.label.parent.name


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
    splits = {}
    for split in SPLITS:
        entries = document.get(split)
        if not isinstance(entries, list) or not entries:
            found = "missing" if entries is None else "empty" if entries == [] else f"a {type(entries).__name__}"
            raise InputError(f"The {split} list of {path} is {found}; it must name at least one case.")
        splits[split] = tuple(_case(entry, base_dir, f"{split}[{i}] of {path}") for i, entry in enumerate(entries))
    scheme = document.get("label_scheme")
    if scheme is not None and not isinstance(scheme, str):
        raise InputError(f"The label_scheme of {path} is {scheme!r:.80}; expected a name such as brats2018.")
    return Datalist(path, splits["training"], splits["validation"], scheme)


def write_datalist(
    path: Path,
    training: Iterable[Mapping[str, Any]],
    validation: Iterable[Mapping[str, Any]],
    label_scheme: str,
) -> None:
    """Write a list of entries whose paths are already relative to the dataset folder."""
    document = {"label_scheme": label_scheme, "training": list(training), "validation": list(validation)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _read_object(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"The datalist {path} cannot be read as JSON ({error}); write it anew.") from error
    if not isinstance(document, dict):
        raise InputError(f"The datalist {path} holds a {type(document).__name__}; it must be a JSON object.")
    return document


def _case(entry: Any, base_dir: Path, where: str) -> Case:
    image = entry.get("image") if isinstance(entry, dict) else None
    label = entry.get("label") if isinstance(entry, dict) else None
    images = [image] if isinstance(image, str) else image
    listed = isinstance(images, list) and images and all(isinstance(i, str) for i in images)
    if not isinstance(label, str) or not isinstance(images, list) or not listed:
        raise InputError(f'{where} is {entry!r:.120}; expected {{"image": [file, ...], "label": file}}.')
    extra = {key: value for key, value in entry.items() if key not in ("image", "label")}
    return Case(tuple(base_dir / i for i in images), base_dir / label, extra)
