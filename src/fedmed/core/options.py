"""Options that are written once: a dataclass field is also the command-line option and the key in the JSON file."""

import argparse
import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from fedmed.core.cli import absolute_path
from fedmed.core.errors import InputError

T = TypeVar("T")


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


def to_plain(instance: Any) -> dict[str, Any]:
    """The options of a dataclass instance as JSON values."""
    return {name: _plain(getattr(instance, name)) for name in sorted(option_names(type(instance)))}


def from_plain(cls: type[T], values: Mapping[str, Any]) -> T:
    """Rebuild an instance from :func:`to_plain`'s answer.

    Raises:
        InputError: a name is no option of ``cls``.
    """
    unknown = sorted(set(values) - option_names(cls))
    if unknown:
        raise InputError(f"{', '.join(unknown)} is no option of {cls.__name__}; remove it from the file.")
    kinds = typing.get_type_hints(cls)
    for name, value in values.items():
        if not _fits(value, kinds[name]):
            raise InputError(f"{name} is {value!r} in the file; expected {_required(kinds[name])}.")
    return cls(**{name: _revived(value, kinds[name]) for name, value in values.items()})


def expect(ok: bool, name: str, value: Any, expected: str) -> None:
    """Refuse an option's value in one form of words. NaN fails every comparison, so it is refused too."""
    if not ok:
        raise InputError(f"--{name} is {_shown(value)}; expected {expected}.")


def expect_positive(name: str, value: float) -> None:
    expect(0 < value < math.inf, name, value, "a finite number above 0")


def expect_at_least(name: str, value: float, least: float) -> None:
    kind = "whole" if isinstance(value, int) else "finite"
    expect(least <= value < math.inf, name, value, f"a {kind} number of at least {least}")


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
        return {"choices": typing.get_args(kind)}
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


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
