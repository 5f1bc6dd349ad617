"""The hospitals of a set of brain MR images, as a file names them: folder, names of the classes, place on the map.

[{"name": "Figshare", "folder": "figshare", "class_map": {"pituitary tumor": "pituitary", ...},
  "location": {"city": "Guangzhou", "country": "China", "latitude": 23.13, "longitude": 113.26},
  "fictional": false}, ...]
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from fedmed.core.control_characters import has_control
from fedmed.core.errors import InputError, refuse
from fedmed.core.unique_keys import unique_keys
from fedmed.data.brain_mri.classes import CLASSES

HOSPITALS_FILE = "hospitals.json"
"""The file of this name in a set's folder describes the set's own hospitals."""

KEYS = ("name", "folder", "class_map", "location", "fictional")
PLACE_KEYS = ("city", "country", "latitude", "longitude")

MOST_DEGREES = {"latitude": 90, "longitude": 180}

LONGEST = 200
"""Characters of a name, a folder or a class."""


@dataclass(frozen=True)
class Location:
    """A place on the map, in degrees north and east."""

    city: str
    country: str
    latitude: float
    longitude: float


@dataclass(frozen=True)
class Hospital:
    """One hospital.

    Attributes:
        name: for people.
        folder: of its images, relative to the set's.
        class_map: the class of each of its class names, which are those of its folders or of its list.
        location: its place on the map.
        fictional: True where the name or the place is made up.
    """

    name: str
    folder: str
    class_map: Mapping[str, str]
    location: Location
    fictional: bool

    def facts(self) -> dict[str, Any]:
        """The name and the place as JSON values, as a site's list states them."""
        return {"name": self.name, **asdict(self.location), "fictional": self.fictional}


def same_name(name: str) -> str:
    """The form in which names of folders and classes are compared: without regard to case and Unicode's forms."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def nearest(name: str, known: Sequence[str]) -> str:
    """The name among ``known`` that is most like ``name``."""
    forms = {same_name(each): each for each in known}
    return forms[get_close_matches(same_name(name), [*forms], n=1, cutoff=0.0)[0]]


def read_hospitals(path: Path) -> tuple[Hospital, ...]:
    """The hospitals of a file, in its order.

    Raises:
        InputError: the file cannot be read, or is no list of objects.
        Problems: hospitals are described wrongly; a sentence for each mistake.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=unique_keys)
    except InputError as error:
        raise InputError(f"{path} {error}; correct it there.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); write it anew.") from error
    if not isinstance(entries, list) or not entries or not all(isinstance(each, dict) for each in entries):
        raise InputError(f"{path} holds no list of hospitals; expected one or more objects with {', '.join(KEYS)}.")
    refuse([f"{path}: {sentence}" for sentence in (*_mistakes(entries), *_twice(entries))])
    return tuple(
        Hospital(
            each["name"].strip(), each["folder"], each["class_map"], Location(**each["location"]), each["fictional"]
        )
        for each in entries
    )


def _mistakes(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for number, entry in enumerate(entries, start=1):
        name: Any = entry.get("name")
        who = name.strip() if _is_text(name) else f"hospital {number}"
        yield from _wrong_keys(entry, KEYS, who)
        for key, is_right, expected in (
            ("name", _is_text, "text of one line"),
            ("folder", _is_folder, "a path inside the set's folder"),
            ("fictional", lambda value: isinstance(value, bool), "true or false"),
            ("class_map", lambda value: isinstance(value, dict) and value, "the class of each of its folders"),
            ("location", lambda value: isinstance(value, dict), f"an object with {', '.join(PLACE_KEYS)}"),
        ):
            yield from _wrong_value(entry, key, is_right, expected, who)
        if isinstance(entry.get("class_map"), dict):
            yield from _wrong_classes(entry["class_map"], who)
        if isinstance(entry.get("location"), dict):
            yield from _wrong_place(entry["location"], who)


def _wrong_keys(entry: Mapping[str, Any], expected: Sequence[str], who: str) -> Iterator[str]:
    for key in expected:
        if key not in entry:
            yield f"{who} lacks {key}; expected {', '.join(expected)}."
    for key in entry:
        if key not in expected:
            yield f"{who} has {_shown(key)}, which is not read; expected {', '.join(expected)}."


def _wrong_value(
    entry: Mapping[str, Any], key: str, is_right: Callable[[Any], Any], expected: str, who: str
) -> Iterator[str]:
    if key in entry and not is_right(entry[key]):
        yield f"{who} has the {key} {_shown(entry[key])}; expected {expected}: correct it."


def _wrong_classes(class_map: Mapping[str, Any], who: str) -> Iterator[str]:
    for own, known in class_map.items():
        if not _is_text(own) or "/" in own or "\\" in own:
            yield f"{who} has {_shown(own)} in its class_map; expected the name of a folder."
        if known not in CLASSES:
            near = f", of which {nearest(known, CLASSES)} is most like it" if _is_text(known) else ""
            yield f"{who} maps {_shown(own)} to {_shown(known)}; expected one of {', '.join(CLASSES)}{near}."
    for name, count in Counter(map(same_name, class_map)).items():
        if count > 1:
            yield f"{who} has {count} names in its class_map that are {_shown(name)} but for case; leave one."


def _wrong_place(location: Mapping[str, Any], who: str) -> Iterator[str]:
    yield from _wrong_keys(location, PLACE_KEYS, f"{who}'s location")
    for key in ("city", "country"):
        yield from _wrong_value(location, key, _is_text, "text of one line", who)
    for key, most in MOST_DEGREES.items():
        degrees = f"degrees from -{most} to {most}"
        yield from _wrong_value(location, key, partial(_is_number_to, most), degrees, who)


def _is_number_to(most: float, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= most


def _twice(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    names = Counter(same_name(entry["name"]) for entry in entries if _is_text(entry.get("name")))
    for name, count in names.items():
        if count > 1:
            yield f"{count} hospitals are called {_shown(name)}; give each a name of its own."


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= len(value) <= LONGEST and not has_control(value)


def _is_folder(value: Any) -> bool:
    return _is_text(value) and not PurePosixPath(value).is_absolute() and ".." not in PurePosixPath(value).parts


def _shown(value: Any) -> str:
    return f"{json.dumps(value, ensure_ascii=False):.80}"
