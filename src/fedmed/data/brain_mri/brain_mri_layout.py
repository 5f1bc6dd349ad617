"""The layouts of sets of brain MR images: hospitals with class folders or a list each, or the merged set.

figshare/glioma/1.jpg  figshare/pituitary tumor/2.jpg  sartaj/Training/glioma_tumor/3.jpg     class folders
clinic/list.csv  clinic/scans/4.png                                                         columns image and label
Training/glioma/5.jpg  Testing/glioma/6.jpg                                                   the merged set
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from fedmed.core.errors import InputError, counted, refuse
from fedmed.data.brain_mri.brain_image import BrainImage
from fedmed.data.brain_mri.hospitals import HOSPITALS_FILE, Hospital, nearest, read_hospitals, same_name
from fedmed.data.image_file import PICTURES

TRAINING, TESTING = "Training", "Testing"
"""The folders of the merged set, and of hospitals that keep their images so; the second is its published test."""

MERGED_CLASSES = {
    "glioma": "glioma",
    "glioma_tumor": "glioma",
    "meningioma": "meningioma",
    "meningioma_tumor": "meningioma",
    "notumor": "no_tumor",
    "no_tumor": "no_tumor",
    "pituitary": "pituitary",
    "pituitary_tumor": "pituitary",
}
"""The class of each folder of the merged set, and of its parent sets."""

COLUMNS = ("image", "label")
"""The columns of a hospital's list; others are not read."""


@dataclass(frozen=True)
class Looked:
    """One path that was looked at, relative to the set's folder, and what was found there."""

    path: str
    found: str


@dataclass(frozen=True)
class BrainMriTree:
    """A set on disk.

    Attributes:
        root: its folder.
        hospitals: those that have images here, in the order of their file; none in the merged layout.
        images: in the order of hospitals, classes' names and files.
        looked: every path that was tried.
        odd: a sentence on each thing that was passed over.
    """

    root: Path
    hospitals: tuple[Hospital, ...]
    images: tuple[BrainImage, ...]
    looked: tuple[Looked, ...]
    odd: tuple[str, ...]

    @property
    def merged(self) -> bool:
        """True for a set with a published test and without hospitals."""
        return not self.hospitals


def find_brain_mri(root: Path, hospitals_file: Path | None, public: Path) -> BrainMriTree:
    """Every image of a set, with the class that its folder or list says; no image is opened.

    The hospitals are those of ``hospitals_file``, else of the set's own hospitals.json; else a set with the folders
    Training and Testing is the merged one, and any other is looked at for the hospitals of ``public``.

    Raises:
        InputError: there is no such folder.
        Problems: hospitals, folders or lists are not as expected; a sentence for each.
    """
    if not root.is_dir():
        raise InputError(f"The dataset folder {root} does not exist; give the one that holds the hospitals' folders.")
    own = root / HOSPITALS_FILE
    if hospitals_file is None and not own.exists() and all((root / name).is_dir() for name in (TRAINING, TESTING)):
        return _merged(root)
    hospitals = read_hospitals(hospitals_file or (own if own.exists() else public))
    search = _Search(root)
    search.problems += _shared_folders(root, hospitals)
    for hospital in hospitals:
        search.hospital(hospital)
    return search.tree(hospitals)


def _merged(root: Path) -> BrainMriTree:
    search = _Search(root)
    for base, official_test in ((TRAINING, False), (TESTING, True)):
        before = len(search.images)
        search.class_folders(root / base, MERGED_CLASSES, f"the {base} folder", "", official_test)
        if len(search.images) == before:
            search.problems.append(
                f"{root / base} holds no class folder with images; expected {', '.join(MERGED_CLASSES)} or some of "
                "them."
            )
    return search.tree(())


def _shared_folders(root: Path, hospitals: Sequence[Hospital]) -> Iterator[str]:
    for one, other in combinations(hospitals, 2):
        first, second = ((root / each.folder).resolve() for each in (one, other))
        if first.is_relative_to(second) or second.is_relative_to(first):
            yield (
                f"{other.name} has the folder {other.folder}, and {one.name} has {one.folder}, which is the same or "
                "lies around or in it; expected a folder of its own for each hospital, as images would count twice."
            )


@dataclass
class _Search:
    """The images found so far, the paths tried, and the problems met."""

    root: Path
    images: list[BrainImage] = field(default_factory=list)
    looked: list[Looked] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def tree(self, hospitals: tuple[Hospital, ...]) -> BrainMriTree:
        refuse(self.problems)
        return BrainMriTree(self.root, hospitals, tuple(self.images), tuple(self.looked), tuple(self.odd))

    def hospital(self, hospital: Hospital) -> None:
        """Find the images of one hospital."""
        folder = self.root / hospital.folder
        if not folder.is_dir():
            self._look(folder, "not there")
            self.problems.append(
                f"The folder {folder} of {hospital.name} does not exist; put the images there, or correct or take out "
                "the hospital's entry."
            )
            return
        lists = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv" and _is_shown(path))
        if len(lists) > 1:
            names = ", ".join(path.name for path in lists)
            self.problems.append(f"{folder} holds {len(lists)} lists ({names}); expected one at most: take out others.")
        elif lists:
            self._listed(lists[0], hospital)
        else:
            self._sorted_in_folders(folder, hospital)

    def _sorted_in_folders(self, folder: Path, hospital: Hospital) -> None:
        bases = [folder, *(folder / name for name in (TRAINING, TESTING) if (folder / name).is_dir())]
        found = [self.class_folders(base, hospital.class_map, hospital.name, hospital.name) for base in bases]
        self._missing(hospital, bases, set().union(*found))

    def class_folders(
        self, base: Path, class_map: Mapping[str, str], of: str, hospital: str, official_test: bool = False
    ) -> set[str]:
        """Take the images of the class folders in ``base``; the names, in the form for comparing, that were there."""
        known, met = {same_name(own): label for own, label in class_map.items()}, set()
        for folder in sorted(path for path in base.iterdir() if path.is_dir() and _is_shown(path)):
            name = same_name(folder.name)
            pictures, others = _contents(folder)
            if name in known:
                met.add(name)
                self._class_folder(folder, known[name], pictures, others, hospital, official_test)
            elif pictures:
                near = nearest(folder.name, [*class_map])
                self._look(folder, f"{counted(len(pictures), 'image')} of no class; most like {near}")
                self.problems.append(
                    f"{folder} holds {counted(len(pictures), 'image')} and is not in the class_map of {of}; the name "
                    f"most like it there is {near!r} ({class_map[near]}): add it to the class_map, or take it out."
                )
            elif folder.name not in (TRAINING, TESTING):
                self._look(folder, "no images: passed over")
        return met

    def _class_folder(
        self, folder: Path, label: str, pictures: list[Path], others: int, hospital: str, official_test: bool
    ) -> None:
        self._look(folder, f"{label}, {counted(len(pictures), 'image')}")
        if not pictures:
            self.problems.append(
                f"{folder} holds no image ({', '.join(PICTURES)}); put the images of {label} there, or take the folder "
                "and its name in the class_map out."
            )
        if others:
            self.odd.append(f"{folder} holds {counted(others, 'other entry')} than images, passed over.")
        for path in pictures:
            self._add(path, label, hospital, official_test)

    def _missing(self, hospital: Hospital, bases: Sequence[Path], found: set[str]) -> None:
        for own, label in hospital.class_map.items():
            if same_name(own) not in found:
                tried = [base / own for base in bases]
                for path in tried:
                    self._look(path, "not there")
                self.problems.append(
                    f"{hospital.name} has no folder {own!r} for {label} (tried {', '.join(map(str, tried))}); put it "
                    "there, or correct the class_map."
                )

    def _listed(self, path: Path, hospital: Hospital) -> None:
        """Take the images of a list."""
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file, strict=True)
                rows, columns = list(reader), reader.fieldnames or []
        except (OSError, ValueError, csv.Error) as error:
            self.problems.append(f"{path} cannot be read as a list with commas ({error}); write it anew in UTF-8.")
            return
        before, known = len(self.images), {same_name(own): label for own, label in hospital.class_map.items()}
        if not set(COLUMNS) <= set(columns):
            self.problems.append(
                f"{path} has the columns {', '.join(columns) or '(none)'}; expected image and label, or take it out."
            )
            return
        met: set[str] = set()
        for number, row in enumerate(rows, start=2):
            self._listed_row(path.parent, row, f"Line {number} of {path}", hospital, known, met)
        if not rows:
            self.problems.append(f"{path} lists no image; expected one or more lines after that of the columns.")
        self._look(path, f"a list of {counted(len(self.images) - before, 'image')}")

    def _listed_row(
        self, folder: Path, row: Mapping[str, str | None], where: str, hospital: Hospital, known: Mapping[str, str],
        met: set[str],
    ) -> None:  # fmt: skip
        image, label = ((row[column] or "").strip() for column in COLUMNS)
        path = folder / image
        if same_name(label) not in known:
            near = nearest(label, [*hospital.class_map])
            self.problems.append(
                f"{where} has the label {label!r:.80}, which is not in the class_map of {hospital.name}; the name most "
                f"like it there is {near!r}: correct it or add it."
            )
        elif not image or ".." in Path(image).parts or not path.is_relative_to(folder):
            self.problems.append(f"{where} has the image {image!r:.80}; expected a path inside {folder}.")
        elif not path.is_file() or path.suffix.lower() not in PICTURES:
            self.problems.append(f"{where} names {path}, which is no image file ({', '.join(PICTURES)}); correct it.")
        elif str(path) in met:
            self.problems.append(f"{where} names {path}, which is listed above already; leave one line.")
        else:
            met.add(str(path))
            self._add(path, known[same_name(label)], hospital.name)

    def _add(self, path: Path, label: str, hospital: str, official_test: bool = False) -> None:
        file = path.relative_to(self.root).as_posix()
        self.images.append(BrainImage(len(self.images), path, file, label, hospital, official_test))

    def _look(self, path: Path, found: str) -> None:
        self.looked.append(Looked(path.relative_to(self.root).as_posix(), found))


def _contents(folder: Path) -> tuple[list[Path], int]:
    """The image files of a folder, sorted by name, and the number of other things in it that are not hidden."""
    entries = sorted(path for path in folder.iterdir() if _is_shown(path))
    pictures = [path for path in entries if path.suffix.lower() in PICTURES and path.is_file()]
    return pictures, len(entries) - len(pictures)


def _is_shown(path: Path) -> bool:
    return not path.name.startswith(".")
