"""The films of NIH's tables and lists: findings, patients, views, ages, and the published parts.

Data_Entry_2017.csv, sample_labels.csv     Image Index, Finding Labels, Patient ID, Patient Age (57, 060Y, 011M), ...
train_val_list.txt, test_list.txt          a name a line
train_list.txt, val_list.txt ...           a name and 14 numbers, 0 or 1, a line, in the order of CheXNet
BBox_List_2017.csv                         boxes, which are counted
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from fedmed.core.errors import InputError, counted
from fedmed.data.chest_xray.findings import FINDINGS, NO_FINDING, SEPARATOR, in_order, nearest_finding

IMAGE, LABELS = "image index", "finding labels"
"""The columns that a table must have, without regard to case; the others are read where they are there."""

PATIENT, AGE, SEX, VIEW, FOLLOW_UP = "patient id", "patient age", "patient gender", "view position", "follow-up #"

NIH_NAME = re.compile(r"(?P<patient>\d{8})_(?P<follow_up>\d{3})")
"""The name of a film of NIH's, without its ending."""

AGE_FORM = re.compile(r"(?P<number>\d{1,4})(?P<unit>[YMD]?)")
YEARS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "D": 1 / 365}

OLDEST = 120
"""Years. NIH's table has some ages above 400, which are slips and count as unknown."""

PARTS = {"train_val_list.txt": "train_val", "train_list.txt": "train", "val_list.txt": "val", "test_list.txt": "test"}
"""The part of each published list."""

BOXES = "bbox_list_2017.csv"
"""The name of the table of boxes, in lower case."""

VIEWS = ("PA", "AP")


@dataclass(frozen=True)
class ListedFilm:
    """The statements on a film; ``findings`` None where only a list without labels names it."""

    findings: tuple[str, ...] | None = None
    patient: str = ""
    view: str = ""
    age: int | None = None
    follow_up: int | None = None
    sex: str = ""
    where: str = ""  # the table or list, and the line


@dataclass
class FilmTables:
    """Everything that the tables and lists of a folder state.

    Attributes:
        films: by the file's name.
        parts: the published part of each film that a list names, by the file's name.
        read: the tables and lists that were read, with the number of films that each names.
        boxes: of BBox_List_2017.csv; None where it is not there.
        problems: a sentence on each mistake.
        odd: a sentence on each oddity.
    """

    films: dict[str, ListedFilm] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    boxes: int | None = None
    problems: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


def read_film_tables(folders: Sequence[Path]) -> FilmTables:
    """Read every table (.csv) and list (_list.txt) of some folders, tables first.

    Mistakes are gathered, one sentence for each kind of mistake in a table.

    Raises:
        InputError: a file cannot be read.
    """
    found = FilmTables()
    files = [path for folder in folders for path in sorted(folder.iterdir()) if path.is_file()]
    for path in files:
        if path.name.lower() == BOXES:
            found.boxes = len(_table(path))
        elif path.suffix.lower() == ".csv":
            _add_table(found, path)
    for path in files:
        if path.name in PARTS:
            _add_list(found, path)
    return found


def _table(path: Path) -> pd.DataFrame:
    """A table of texts with its columns' names in lower case.

    Raises:
        InputError: it cannot be read.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise InputError(f"{path} cannot be read as a table with commas ({error}); copy it again.") from error
    return table.rename(columns=lambda name: str(name).strip().lower())


def _add_table(found: FilmTables, path: Path) -> None:
    """Take the films of a table; one without the columns of films is passed over."""
    table = _table(path)
    if IMAGE not in table or LABELS not in table:
        found.odd.append(f"{path.name} has no columns Image Index and Finding Labels; passed over.")
        return
    rows = _rows(table)
    lines = [_line(row, f"line {number} of {path.name}") for number, row in enumerate(rows, start=2)]
    mistakes = _Mistakes()
    for (_, film), row in zip(lines, rows, strict=True):
        mistakes.labels(row[LABELS], film.where)
        mistakes.age(row.get(AGE, "").strip(), film)
    found.problems += [*_twice([name for name, _ in lines], path), *mistakes.problems()]
    found.odd += mistakes.oddities()
    _merge(found, dict(lines), path)


def _twice(names: Sequence[str], path: Path) -> Iterator[str]:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        yield f"{path.name} lists {named(twice)} twice or more; leave one line for each film."


def _rows(table: pd.DataFrame) -> list[dict[str, str]]:
    known = [name for name in (IMAGE, LABELS, PATIENT, AGE, SEX, VIEW, FOLLOW_UP) if name in table]
    return [dict(zip(known, row, strict=True)) for row in table[known].itertuples(index=False, name=None)]


def _line(row: Mapping[str, str], where: str) -> tuple[str, ListedFilm]:
    """The name and the facts of a row; unknown findings are left out, as they are a mistake of their own."""
    name = _file_name(row[IMAGE])
    stated = [each.strip() for each in row[LABELS].split(SEPARATOR)]
    patient, follow_up = patient_of_name(name)
    number = row.get(FOLLOW_UP, "").strip()
    view = row.get(VIEW, "").strip().upper()
    return name, ListedFilm(
        in_order(stated),
        _patient(row.get(PATIENT, "")) or patient,
        view if view in VIEWS else "",
        age_in_years(row.get(AGE, "")),
        int(number) if number.isdigit() else follow_up,
        row.get(SEX, "").strip().upper()[:1],
        where=where,
    )


def _patient(stated: str) -> str:
    """A patient's number in the eight digits of NIH's names; another name as it is."""
    text = stated.strip()
    return f"{int(text):08d}" if text.isdigit() else text


def _file_name(stated: str) -> str:
    """The name of a film's file without its folders."""
    return stated.strip().rsplit("/", 1)[-1]


def patient_of_name(name: str) -> tuple[str, int | None]:
    """The patient and the follow-up that a film's name states; the name itself and None where it is not NIH's."""
    stem = _file_name(name).rsplit(".", 1)[0]
    match = NIH_NAME.fullmatch(stem)
    return (match["patient"], int(match["follow_up"])) if match else (stem, None)


def age_in_years(stated: str) -> int | None:
    """Whole years of an age such as 57, 060Y, 011M or 003D; None where it is no age, or above ``OLDEST``."""
    match = AGE_FORM.fullmatch(stated.strip().upper())
    years = int(int(match["number"]) * YEARS[match["unit"]]) if match else OLDEST + 1
    return years if years <= OLDEST else None


class _Mistakes:
    """The mistakes of one table: each kind once, with the first line and the number of lines."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], str] = {}
        self._count: Counter[tuple[str, str]] = Counter()

    def _add(self, kind: str, what: str, where: str) -> None:
        self._first.setdefault((kind, what), where)
        self._count[kind, what] += 1

    def age(self, stated: str, film: ListedFilm) -> None:
        """Look at the age of one row."""
        if stated and film.age is None:
            self._add("age", f"the age {stated!r:.20}, which counts as unknown", film.where)

    def labels(self, text: str, where: str) -> None:
        """Look at the labels of one row."""
        stated = [each.strip() for each in text.split(SEPARATOR)]
        for name in stated:
            if name and name not in (*FINDINGS, NO_FINDING):
                near = nearest_finding(name)
                self._add("finding", f"the unknown finding {name!r:.60}; the nearest is {near!r}: correct it", where)
        if NO_FINDING in stated and len(stated) > 1:
            self._add("finding", f"{NO_FINDING!r} beside a finding ({text!r:.80}): leave one of the two", where)
        if not all(stated):
            self._add("finding", f"an empty finding; expected names, or {NO_FINDING!r}: correct it", where)
        if len(set(stated)) < len(stated):
            self._add("finding", f"a finding twice ({text!r:.80}): state each once", where)

    def problems(self) -> list[str]:
        return self._sentences("finding")

    def oddities(self) -> list[str]:
        return self._sentences("age")

    def _sentences(self, kind: str) -> list[str]:
        return [
            f"{self._first[key][0].upper()}{self._first[key][1:]} has {key[1]}{_more(count)}."
            for key, count in self._count.items()
            if key[0] == kind
        ]


def _more(count: int) -> str:
    return f" ({counted(count, 'line')} in all)" if count > 1 else ""


def _merge(found: FilmTables, films: Mapping[str, ListedFilm], path: Path) -> None:
    """Add a table's films to those of earlier ones, whose facts stay; other findings of one film are a mistake."""
    differ = [
        name for name, film in films.items()
        if name in found.films and film.findings is not None and found.films[name].findings != film.findings
    ]  # fmt: skip
    if differ:
        first = found.films[differ[0]]
        found.problems.append(
            f"{path.name} has other findings than {first.where.split(' of ')[-1]} for {named(differ)}; take one of "
            "the two tables out."
        )
    found.films = {**films, **found.films}
    found.read[path.name] = len(films)


def _add_list(found: FilmTables, path: Path) -> None:
    """Take the films of a list, with labels or without, and their part."""
    lines = [line.split() for line in _text(path).splitlines() if line.strip()]
    mistakes = [*_wrong_lines(lines, path)]
    if mistakes:
        found.problems += mistakes
        return
    found.problems += _twice([_file_name(line[0]) for line in lines], path)
    films = {_file_name(line[0]): _listed(line, f"line {n} of {path.name}") for n, line in enumerate(lines, start=1)}
    _merge(found, films, path)
    _set_part(found, films, PARTS[path.name], path)


def _wrong_lines(lines: Sequence[Sequence[str]], path: Path) -> Iterator[str]:
    """A sentence where a list is empty, or has lines of another form."""
    if not lines:
        yield f"{path} names no film; expected a name a line: copy it again or take it out."
    lengths = (1, 1 + len(FINDINGS))
    wrong = [line for line in lines if len(line) not in lengths or not {*line[1:]} <= {"0", "1"}]
    if wrong:
        yield (
            f"{path.name} has the line {' '.join(wrong[0])!r:.80}; expected the name of a film, alone or with "
            f"{len(FINDINGS)} numbers 0 or 1: correct it{_more(len(wrong))}."
        )


def _listed(line: Sequence[str], where: str) -> ListedFilm:
    patient, follow_up = patient_of_name(line[0])
    findings = None
    if len(line) > 1:
        findings = tuple(name for name, mark in zip(FINDINGS, line[1:], strict=True) if mark == "1")
    return ListedFilm(findings, patient, follow_up=follow_up, where=where)


def _set_part(found: FilmTables, films: Iterable[str], part: str, path: Path) -> None:
    both = [name for name in films if found.parts.get(name, part) != part]
    if both:
        found.problems.append(
            f"{path.name} names {named(both)}, which another list has in {found.parts[both[0]]}; a film has one part: "
            "correct the lists."
        )
    found.parts |= dict.fromkeys(films, part)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as text ({error}); copy it again.") from error


MOST_NAMED = 3
"""Names in a sentence."""


def named(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """The first few names, and how many more there are."""
    left = len(names) - most
    return ", ".join(map(str, names[:most])) + (f" and {left} more" if left > 0 else "")
