"""A site's list of cases, in MONAI's Decathlon form.

    {"label_scheme": "brats2018",
     "training":   [{"image": ["a_t1ce.nii.gz", "a_t1.nii.gz", ...], "label": "a_seg.nii.gz"}, ...],
     "validation": [{"image": "b.png", "label": "pneumonia", "patient": "p7"}, {"image": "c.png", "label": [0, 3]}],
     "testing":    [{"image": "d.png", "label": "pneumonia"}]}

A list need not have ``testing``, cases on which no site trains or validates. It may state ``hospital``, an object of
facts about the site for whoever reads a run folder: its name, city, country, latitude and longitude.
Paths are relative to the site's dataset folder. A label is a file, a class by its name or its number, or a list of
classes. NVIDIA FLARE's own BraTS18 lists are in this form without ``label_scheme``; a list that does not state one gets
the task's default.
"""

import difflib
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from fedmed.core.control_characters import has_control
from fedmed.core.errors import InputError
from fedmed.core.settings import advice_to_fill
from fedmed.core.unique_keys import unique_keys
from fedmed.data.targets import FORMS, Target, read_target, target_digest

SPLITS = ("training", "validation")
"""The splits that every site has."""

TEST = "test"
"""The split of the cases that no site trains or validates on."""

TESTING = "testing"
"""The key of that split in a list."""

TEST_LIST = "test.json"
"""The file of the cases that no site trains or validates on."""

TEST_WITHOUT_COPIES = "test_without_copies.json"
"""The file of those of a published test's cases of which training has no copy."""

ALL_SITES = "site-All"
"""The site that trains on every site's cases: the centralized baseline."""

FILE_ENDING = re.compile(r"(\.nii\.gz|\.[^.]*)$", re.IGNORECASE)
"""The ending of a file's name."""

SEPARATORS = "_-. "
"""Characters between a case's name and its image's in the name of a file."""

LIST_KEYS, ENTRY_KEYS = (*SPLITS, TESTING, "label_scheme", "hospital"), ("image", "label", "patient", "name")
"""The keys that are read of a list and of its entries; others may stand beside them, if they are no slip of these."""

LONGEST = 4096
"""Characters of a path, beyond which no file system goes, nor any name."""

ALIKE = 0.8
"""Likeness of two words (difflib's ratio) from which one is taken for a slip of the other."""


@dataclass(frozen=True)
class Case:
    """One case: its image files (one a modality, in the task's order) and its target.

    ``extra`` holds the further keys of the list's entry (patient, grade, fold ...); a patient is text that is not
    empty. ``name`` identifies the case for people. Where none is given it is what the names of its image files have in
    common, or the name of their folder if that is nothing. ``parts`` are the cases of which :func:`joined` made this
    one, such as the slices of a volume: ``images`` are then those of all of them, and ``target`` the first one's.
    """

    images: tuple[Path, ...]
    target: Target
    extra: Mapping[str, Any]
    name: str = ""
    parts: tuple["Case", ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or _common_stem(self.images) or _folder_name(self.images))

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of the case or its parts: the images and, where a target is one, the target's."""
        if self.parts:
            return tuple(file for part in self.parts for file in part.files)
        return (*self.images, self.target) if isinstance(self.target, Path) else self.images

    def truth_digest(self) -> str:
        """64 hexadecimal digits (SHA-256) of the target, or of the targets of all parts in their order.

        Raises:
            InputError: a file cannot be read.
        """
        if not self.parts:
            return target_digest(self.target)
        return hashlib.sha256("".join(part.truth_digest() for part in self.parts).encode()).hexdigest()


def joined(parts: Sequence[Case], name: str) -> Case:
    """One case of several, in their order, which keeps of ``extra`` what all of them state alike.

    Args:
        parts: at least one.
        name: of the case.
    """
    first, *others = parts
    same = {key: value for key, value in first.extra.items() if all(part.extra.get(key) == value for part in others)}
    images = tuple(image for part in parts for image in part.images)
    return Case(images, first.target, same, name, tuple(parts))


@dataclass(frozen=True)
class Datalist:
    """A site's cases, with absolute paths."""

    path: Path
    training: tuple[Case, ...]
    validation: tuple[Case, ...]
    label_scheme: str | None
    outside: tuple[Path, ...] = ()  # files that do not lie in the dataset folder, by their paths as the list has them
    testing: tuple[Case, ...] = ()  # on which no site trains or validates; none of a list without any
    hospital: Mapping[str, Any] = field(default_factory=dict)  # facts of the site; none of a list that states none

    @property
    def splits(self) -> dict[str, tuple[Case, ...]]:
        """The cases by split: ``training``, ``validation`` and, where the list has such cases, ``test``."""
        test = {TEST: self.testing} if self.testing else {}
        return {"training": self.training, "validation": self.validation, **test}

    @property
    def all_cases(self) -> tuple[Case, ...]:
        return self.training + self.validation + self.testing


def datalist_path(root: Path, site: str) -> Path:
    """The list of ``site``: ``root/<site>.json``, or ``root`` itself when it is a file."""
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
        InputError: the file is no JSON object, an entry is malformed, or training or validation is missing or empty.
    """
    document = _read_object(path)
    training, validation = (_cases(document, split, path, base_dir) for split in SPLITS)
    testing = () if document.get(TESTING, []) == [] else _cases(document, TESTING, path, base_dir)
    every = (*training, *validation, *testing)
    folders = _named_by_folder(every)
    outside = tuple(dict.fromkeys(file for case in every for file in _outside(case, base_dir)))
    training, validation, testing = (_renamed(cases, folders) for cases in (training, validation, testing))
    return Datalist(path, training, validation, _scheme(document, path), outside, testing, _hospital(document, path))


def open_datalist(path: Path, base_dir: Path) -> Datalist:
    """Read one list whose data are there, at least some of them: the audit names single files that are missing.

    Raises:
        InputError: as :func:`load_datalist`, or ``base_dir`` holds no file of any case.
    """
    found = load_datalist(path, base_dir)
    cases = found.all_cases
    if not any(file.is_file() for case in cases for file in case.files):
        raise InputError(
            f"{base_dir} holds none of the {len(cases)} cases of {path}: {cases[0].files[-1]} and the others are not "
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
    folders = _named_by_folder(case for each in others for case in each)  # so that a case's name is that of the run
    return _renamed(cases, folders), _scheme(document, path)


def lists_with(folder: Path, split: str) -> dict[str, Path]:
    """The sites' lists of a folder that have cases of a split, by site: files with ``training`` and that key.

    A file that cannot be read is among them, so that it is complained of and not passed over.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError):
            found[path.stem] = path
            continue
        if isinstance(document, dict) and document.get("training") and document.get(split):
            found[path.stem] = path
    return found


def write_datalist(
    path: Path,
    training: Iterable[Mapping[str, Any]],
    validation: Iterable[Mapping[str, Any]],
    label_scheme: str | None = None,
    testing: Iterable[Mapping[str, Any]] = (),
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a list of entries whose paths are already relative to the dataset folder.

    Args:
        path: the file; its folder is made if need be.
        training: the entries that the site trains on.
        validation: those that it validates on.
        label_scheme: the scheme of the labels, where the dataset has several.
        testing: those that it tests on; the list has no such key where there are none.
        facts: what the list states of its site, such as its hospital, as JSON values.
    """
    scheme = {} if label_scheme is None else {"label_scheme": label_scheme}
    tested = {TESTING: [*testing]}
    parts = {"training": list(training), "validation": list(validation), **(tested if tested[TESTING] else {})}
    document = {**(facts or {}), **scheme, **parts}
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


def _outside(case: Case, base_dir: Path) -> list[Path]:
    """The case's files whose paths lead out of the dataset folder; links in it are its owner's and are followed."""
    base = os.path.abspath(base_dir)
    return [file for file in case.files if not Path(os.path.abspath(file)).is_relative_to(base)]


def _read_object(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_object)
    except InputError as error:
        raise InputError(f"The datalist {path} {error}; correct it there.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"The datalist {path} cannot be read as JSON ({error}); write it anew.") from error
    if not isinstance(document, dict):
        raise InputError(f"The datalist {path} holds {_kind(document)}; it must be a JSON object.")
    _refuse_slips(document, LIST_KEYS, f"The datalist {path}")
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, each of whose keys stands there once, and whose texts can be shown.

    Raises:
        InputError: it is none; the words follow the file's name.
    """
    found = unique_keys(pairs)
    for text in _texts([list(pair) for pair in pairs]):
        if len(text) > LONGEST:
            raise InputError(f"holds {json.dumps(text):.60}... of {len(text)} characters; no path has over {LONGEST}")
        if has_control(text):
            raise InputError(f"holds {json.dumps(text):.120}, which has control characters")
    return found


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value; those of objects within it were looked at when they were read."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _refuse_slips(stated: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Refuse a key that is nearly one of those that are read, as what it states would be ignored.

    Raises:
        InputError: there is one.
    """
    for key in stated:
        like = [] if key in known else difflib.get_close_matches(key, known, n=1, cutoff=ALIKE)
        if like:
            raise InputError(
                f'{where} has the key "{key:.80}", which is not read; write "{like[0]}" if that is meant, otherwise '
                "give it another name."
            )


def _kind(value: Any) -> str:
    """The kind of a JSON value, with its article."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _cases(document: Mapping[str, Any], split: str, path: Path, base_dir: Path) -> tuple[Case, ...]:
    entries = document.get(split)
    if not isinstance(entries, list) or not entries:
        found = "missing" if entries is None else "empty" if entries == [] else _kind(entries)
        raise InputError(f"The {split} list of {path} is {found}; it must name at least one case.")
    return tuple(_case(entry, base_dir, f"{split}[{i}] of {path}") for i, entry in enumerate(entries))


def _scheme(document: Mapping[str, Any], path: Path) -> str | None:
    scheme = document.get("label_scheme")
    if scheme is not None and not isinstance(scheme, str):
        raise InputError(f"The label_scheme of {path} is {scheme!r:.80}; expected a name such as brats2018.")
    return scheme


def _hospital(document: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    stated = document.get("hospital", {})
    plain = isinstance(stated, dict) and all(isinstance(each, str | int | float | None) for each in stated.values())
    if not plain:
        raise InputError(f"The hospital of {path} is {_shown(stated)}; expected an object of texts and numbers.")
    return dict(stated)


def _common_stem(images: Sequence[Path]) -> str:
    """The part that the names of a case's image files have in common, up to a separator; "" where that is nothing."""
    stems = [FILE_ENDING.sub("", path.name) for path in images]
    if len(stems) == 1:
        return stems[0]
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*stems, strict=False))
    common = "".join(letters[0] for letters in same)
    cut = max((common.rfind(separator) for separator in SEPARATORS), default=-1)
    return common[: max(cut, 0)].rstrip(SEPARATORS)


def _folder_name(images: Sequence[Path]) -> str:
    return images[0].parent.name if images else ""


def _named_by_folder(cases: Iterable[Case]) -> set[str]:
    """The names that the file names of several cases give, so that their folders must name these cases."""
    counts = Counter(name for _, name in {(case.images, case.name) for case in cases if "name" not in case.extra})
    return {name for name, count in counts.items() if count > 1}


def _renamed(cases: Iterable[Case], names: set[str]) -> tuple[Case, ...]:
    """The cases, those of the given names called by their folders; a name that the list states stays."""
    return tuple(
        replace(case, name=_folder_name(case.images)) if case.name in names and "name" not in case.extra else case
        for case in cases
    )


def _case(entry: Any, base_dir: Path, where: str) -> Case:
    if not isinstance(entry, dict):
        raise InputError(f'{where} is {_shown(entry)}; expected an object with "image" and "label".')
    stated: dict[str, Any] = entry
    _refuse_slips(stated, ENTRY_KEYS, where)
    images = _images(stated.get("image"))
    if not images:
        raise InputError(f"{where} has the image {_shown(stated.get('image'))}; expected a file or a list of files.")
    target = read_target(stated.get("label"), base_dir)
    if target is None:
        raise InputError(f"{where} has the label {_shown(stated.get('label'))}; expected {FORMS}.")
    where = f"{where} ({stated['label']})" if isinstance(target, Path) else f"{where} ({images[0]})"
    name = _text(stated, "name", where)
    extra = {key: value for key, value in stated.items() if key not in ("image", "label", "patient", "name")}
    return Case(
        tuple(base_dir / image for image in images), target, {**extra, **_text(stated, "patient", where), **name},
        name.get("name", ""),
    )  # fmt: skip


def _shown(value: Any) -> str:
    """A JSON value as it stands in the list, cut where it is long; "missing" for none."""
    return "missing" if value is None else f"{json.dumps(value):.120}"


def _images(value: Any) -> list[str]:
    """The image files of an entry; none where it does not state them as a file or a list of files."""
    images = [value] if isinstance(value, str) else value
    return images if isinstance(images, list) and all(isinstance(each, str) and each.strip() for each in images) else []


def _text(entry: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
    """The patient or name that an entry states, by its key; nothing where it states none."""
    value = entry.get(key)
    if isinstance(value, bool) or not (value is None or isinstance(value, str | int)):
        raise InputError(f"{where} has the {key} {value!r:.80}; expected text or a whole number: correct it there.")
    text = "" if value is None else str(value).strip()
    return {key: text} if text else {}
