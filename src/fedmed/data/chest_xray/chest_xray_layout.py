"""The layout of a set of chest films: NIH's as it is, a folder with any subset of it, or lists beside a folder.

images_001/images/00000001_000.png ... images_012/   Data_Entry_2017.csv  train_val_list.txt  test_list.txt
images/00000001_000.png                              sample_labels.csv
images/00011997_000.png                              labels/train_list.txt  labels/val_list.txt  labels/test_list.txt
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedmed.core.errors import InputError, counted, refuse
from fedmed.data.chest_xray.film import Film
from fedmed.data.chest_xray.film_tables import FilmTables, named, patient_of_name, read_film_tables
from fedmed.data.image_file import PICTURES
from fedmed.data.picture_file import DICOM_ENDINGS

LABELS_FOLDER = "labels"
"""The folder beside the images, in which lists lie too."""

FILM_ENDINGS = (*PICTURES, *DICOM_ENDINGS)
"""The endings, in lower case, of the names of films."""

SPLIT_PICTURE = "split.png"
"""Is no film: it lies beside a split's lists, which may lie in the set's folder."""

VALIDATION_PART, TEST_PART = "val", "test"
TRAINING_PARTS = ("train_val", "train", VALIDATION_PART)
"""Names of published parts, see ``PARTS``."""


@dataclass(frozen=True)
class ChestXrayTree:
    """A set on disk.

    Attributes:
        root: its folder.
        films: that are listed and there, by name.
        absent: the names of listed films that are not there.
        read: the tables and lists, with the numbers of films that they name.
        boxes: the rows of BBox_List_2017.csv; None where it is not there.
        odd: a sentence on each thing that was passed over.
    """

    root: Path
    films: tuple[Film, ...]
    absent: tuple[str, ...]
    read: dict[str, int]
    boxes: int | None
    odd: tuple[str, ...]

    @property
    def parts(self) -> frozenset[str]:
        """The published parts of which films are there."""
        return frozenset(film.part for film in self.films if film.part)


def find_chest_xray(root: Path, images: str | None = None, subset: bool = False) -> ChestXrayTree:
    """Every film that a table or a list names and that is there; no film is opened.

    Args:
        root: the set's folder, with tables and lists in it or in its folder ``labels``.
        images: the folder in it that holds the films; None for any.
        subset: whether listed films may be missing.

    Raises:
        InputError: there is no such folder, or a table cannot be read.
        Problems: tables, lists and films are not as expected; a sentence for each mistake.
    """
    place = root / (images or "")
    if not place.is_dir():
        raise InputError(f"The folder {place} does not exist; give the one that holds the films.")
    if not place.resolve().is_relative_to(root.resolve()):
        raise InputError(f"--images is {images}; expected a folder inside {root}.")
    tables = read_film_tables([each for each in (root, root / LABELS_FOLDER) if each.is_dir()])
    paths, copies = _films_in(place)
    absent = [name for name in tables.films if name not in paths]
    missing = _absent(absent, len(tables.films), place, subset)
    refuse([*tables.problems, *_mistakes(tables, paths, copies, root), *missing])
    films = tuple(_film(tables, name, paths[name], root) for name in sorted(tables.films) if name in paths)
    return ChestXrayTree(
        root, films, tuple(sorted(absent)), tables.read, tables.boxes, (*tables.odd, *_odd(tables, paths))
    )


def _films_in(place: Path) -> tuple[dict[str, Path], list[str]]:
    """The files of films by name, and the names that two folders have; hidden folders are passed over."""
    found: dict[str, Path] = {}
    copies = []
    for folder, folders, files in os.walk(place, followlinks=True):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(files):
            if Path(name).suffix.lower() in FILM_ENDINGS and not name.startswith(".") and name != SPLIT_PICTURE:
                path = Path(folder) / name
                if found.setdefault(name, path) is not path:
                    copies.append(name)
    return found, copies


def _mistakes(tables: FilmTables, paths: Mapping[str, Path], copies: Sequence[str], root: Path) -> Iterator[str]:
    if not tables.read and not tables.problems:
        yield (
            f"{root} has no table of films (such as Data_Entry_2017.csv, with the columns Image Index and Finding "
            "Labels) and no list; put one there."
        )
    if copies:
        yield f"{named(copies)} lie in two folders; name the one that is meant with --images, relative to {root}."
    unlabelled = [name for name, film in tables.films.items() if film.findings is None and name in paths]
    if unlabelled:
        yield f"{named(unlabelled)} stand in a list and in no table with findings; add their findings."


def _absent(absent: Sequence[str], listed: int, place: Path, subset: bool) -> Iterator[str]:
    if absent and len(absent) == listed:
        yield f"None of the {listed} listed films is in {place} ({named(absent)}); give the folder that holds them."
    elif absent and not subset:
        yield (
            f"{len(absent)} of {listed} listed films are not in {place} ({named(absent)}); put them there, or leave "
            "them out with --subset."
        )


def _odd(tables: FilmTables, paths: Mapping[str, Path]) -> Iterator[str]:
    unlisted = sorted(name for name in paths if name not in tables.films)
    if unlisted:
        yield f"{counted(len(unlisted), 'film')} in no table or list, left out: {named(unlisted)}."
    unknown = [name for name in tables.films if name in paths and patient_of_name(name)[1] is None]
    alone = [name for name in unknown if tables.films[name].patient == Path(name).stem]
    if alone:
        yield f"{counted(len(alone), 'film')} of unknown patients, each of whom counts as one: {named(alone)}."


def _film(tables: FilmTables, name: str, path: Path, root: Path) -> Film:
    listed = tables.films[name]
    return Film(
        path, path.relative_to(root).as_posix(), listed.findings or (), listed.patient, listed.view, listed.age,
        listed.follow_up, listed.sex, tables.parts.get(name, ""),
    )  # fmt: skip
