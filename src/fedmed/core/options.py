"""Options that are written once: a dataclass field is also the command-line option and the key in the JSON file."""

import argparse
import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from fedmed.core.cli import absolute_path
from fedmed.core.errors import InputError

T = TypeVar("T")

LARGEST = 1e12
"""The most of a number that has no bound of its own: any larger one is a slip of the keyboard."""

MOST_SHOWN = 80
"""Characters of a value that an error shows."""


def option(default: Any, help: str, **metadata: Any) -> Any:
    """A dataclass field that becomes the command-line option of the same name."""
    return dataclasses.field(default=default, metadata={"help": help, **metadata})


def add_options(parser: argparse._ArgumentGroup, cls: type, taken: set[str]) -> None:
    """Add an option for each field of ``cls`` that has a help text and that no other class has added yet."""
    kinds = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if "help" not in field.metadata or field.name in taken:
            continue
        taken.add(field.name)
        default = "" if field.default is None else f" (default: {_shown(field.default)})"
        parser.add_argument(f"--{field.name}", help=field.metadata["help"] + default, **_parsing(kinds[field.name]))


def option_names(cls: type) -> set[str]:
    """The names of the options of ``cls``."""
    return {field.name for field in dataclasses.fields(cls) if "help" in field.metadata}


def path_names(cls: type) -> set[str]:
    """The names of the options of ``cls`` that are paths."""
    kinds = typing.get_type_hints(cls)
    return {name for name in option_names(cls) if _required(kinds[name]) is Path}


def to_plain(instance: Any) -> dict[str, Any]:
    """The options of a dataclass instance as JSON values."""
    return {name: _plain(getattr(instance, name)) for name in sorted(option_names(type(instance)))}


def from_plain(cls: type[T], values: Mapping[str, Any]) -> T:
    """Rebuild an instance from :func:`to_plain`'s answer.

    Raises:
        InputError: a name is no option of ``cls``, or a value is of another type or out of range.
    """
    unknown = sorted(set(values) - option_names(cls))
    if unknown:
        raise InputError(f"{', '.join(unknown)} is no option of {cls.__name__.lower()}; remove it from the file.")
    kinds = typing.get_type_hints(cls)
    for name, value in values.items():
        if not _fits(value, kinds[name]):
            raise InputError(f"{name} is {_as_json(value)} in the file; expected {_in_words(kinds[name])}.")
    return cls(**{name: _revived(value, kinds[name]) for name, value in values.items()})


def expect(ok: bool, name: str, value: Any, expected: str) -> None:
    """Refuse an option's value in one form of words. NaN fails every comparison, so it is refused too."""
    if not ok:
        raise InputError(f"--{name} is {_shown(value)}; expected {expected}.")


def expect_positive(name: str, value: float, most: float = LARGEST) -> None:
    expect(0 < value <= most, name, value, f"a number above 0 and at most {most:g}")


def expect_between(name: str, value: float, least: float, most: float) -> None:
    kind = "whole number" if isinstance(value, int) else "number"
    expect(least <= value <= most, name, value, f"a {kind} from {least} to {most}")


def expect_share(name: str, value: float) -> None:
    expect(0 <= value <= 1, name, value, "a share between 0 and 1")


def _parsing(kind: Any) -> dict[str, Any]:
    kind = _required(kind)
    if kind is bool:
        return {"action": "store_true"}
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)
        return {"type": inner[0], "nargs": len(inner), "metavar": tuple("XYZ"[: len(inner)])}
    if typing.get_origin(kind) is typing.Literal:
        choices = typing.get_args(kind)
        return {"choices": choices, "type": type(choices[0])}
    if kind is Path:
        return {"type": absolute_path, "metavar": "PATH"}
    return {"type": kind, "metavar": {str: "NAME", int: "N", float: "X"}[kind]}


def _required(kind: Any) -> Any:
    """``X | None`` -> ``X``."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return next(a for a in typing.get_args(kind) if a is not type(None))
    return kind


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value


def _revived(value: Any, kind: Any) -> Any:
    kind = _required(kind)
    if value is None:
        return None
    if typing.get_origin(kind) is tuple:
        return tuple(value)
    return Path(value) if kind is Path else value


def _fits(value: Any, kind: Any) -> bool:
    """True where a JSON value is of a field's type."""
    if value is None:
        return kind is not _required(kind)
    kind = _required(kind)
    if typing.get_origin(kind) is typing.Literal:
        return value in typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)
        return isinstance(value, list) and len(value) == len(inner) and all(map(_fits, value, inner))
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, {int: (int,), float: (int, float), str: (str,), Path: (str,)}[kind])


def _in_words(kind: Any) -> str:
    """The JSON values of a field's type, for a sentence."""
    required = _required(kind)
    origin, inner = typing.get_origin(required), typing.get_args(required)
    if origin is typing.Literal:
        words = f"one of {', '.join(map(_as_json, inner))}"
    elif origin is tuple:
        words = f"a list of {len(inner)} whole numbers"
    else:
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "text"}[required]
    return words if kind is required else f"{words}, or null"


def _as_json(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False))


def _shown(value: Any) -> str:
    return _cut(" ".join(map(str, value)) if isinstance(value, tuple) else str(value))


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
