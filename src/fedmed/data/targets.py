"""The target of a case: a file that holds a segmentation, one class, or several classes."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from fedmed.core.errors import InputError
from fedmed.data.image_file import ENDINGS

Class = str | int
"""A class as a list states it: by its name, or by its number counted from 0."""

Target = Path | Class | tuple[Class, ...]
"""A path is a segmentation's file; a tuple names every class that applies, and is empty where none does."""

FORMS = "a file, a class (a name or a number from 0), or a list of classes"
"""The forms of a target in a list, for sentences."""


def read_target(value: Any, base_dir: Path) -> Target | None:
    """The target that a list's entry states as JSON; None where it is none of the forms of :data:`FORMS`.

    A text is a file where it has a folder or ends as files do that can be read here, otherwise the name of a class.
    """
    if isinstance(value, list):
        return tuple(value) if all(_is_class(each) for each in value) else None
    if isinstance(value, str) and _is_file_name(value):
        return base_dir / value
    return value if _is_class(value) else None


def class_numbers(target: Target, classes: Sequence[str], several: bool = False) -> tuple[int, ...]:
    """The numbers of the classes of a target, in ascending order.

    Args:
        target: classes by name or by number.
        classes: the names of all classes, in the order of the network's outputs.
        several: whether any number of classes may apply instead of exactly one.

    Raises:
        InputError: the target is a file, a class is unknown or stated twice, or not exactly one is stated.
    """
    expected = f"{'classes' if several else 'one class'} of {', '.join(classes)} (or numbers from 0): correct the list."
    if isinstance(target, Path):
        raise InputError(f"the target is the file {target}; expected {expected}")
    stated = target if isinstance(target, tuple) else (target,)
    if not several and len(stated) != 1:
        raise InputError(f"the target is {shown_target(target)}; expected {expected}")
    numbers = [_number(each, classes, expected) for each in stated]
    if len(set(numbers)) < len(numbers):
        raise InputError(f"the target {shown_target(target)} states a class twice; state each once in the list.")
    return tuple(sorted(numbers))


def _number(stated: Class, classes: Sequence[str], expected: str) -> int:
    number = classes.index(stated) if isinstance(stated, str) and stated in classes else stated
    if isinstance(number, str) or not 0 <= number < len(classes):
        raise InputError(f"the class {stated!r} is not known; expected {expected}")
    return number


def target_digest(target: Target) -> str:
    """64 hexadecimal digits (SHA-256) of a target: of its file's bytes, or of its classes.

    Raises:
        InputError: the file cannot be read.
    """
    if isinstance(target, Path):
        try:
            with target.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(
                f"{target} cannot be read ({error.strerror}); copy it again or correct the list."
            ) from error
    return hashlib.sha256(json.dumps(target).encode()).hexdigest()


def shown_target(target: Target) -> str:
    """A target as text for a table or a sentence."""
    if isinstance(target, tuple):
        return ", ".join(map(str, target)) or "no class"
    return str(target)


def _is_class(value: Any) -> bool:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number or (isinstance(value, str) and bool(value.strip()) and not _is_file_name(value))


def _is_file_name(text: str) -> bool:
    names_a_folder = PurePath(text).name in ("", "..") or text.endswith(("/", "/."))
    return not names_a_folder and ("/" in text or text.lower().endswith(ENDINGS))
