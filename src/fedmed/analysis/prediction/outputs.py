"""The check of the output files, before anything is computed for them."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

from fedmed.core.errors import InputError
from fedmed.core.files import check_place


def check_outputs(
    outputs: Mapping[str, Path], endings: Mapping[str, tuple[str, ...]], read: Iterable[Path], force: bool
) -> None:
    """Refuse files that cannot be written, or would replace what must stay.

    Args:
        outputs: the files by their options.
        endings: the endings that the name of each option's file may have.
        read: files that are never replaced, as they are being read.
        force: replace what is there.

    Raises:
        InputError: a file has another ending, its folder is missing or not writable, it exists, or two are one.
    """
    inputs = list(read)
    for option, path in outputs.items():
        _check_name(option, path, endings[option])
        if any(path.exists() and path.samefile(other) for other in inputs):
            raise InputError(f"--{option} {path} is one of the files that are read; give another name.")
        if path.is_dir():
            raise InputError(f"--{option} {path} is a folder; give the name of a file in it.")
        if path.exists() and not force:
            raise InputError(f"--{option} {path} exists already; give --force to replace it, or another name.")
    for (first, one), (second, other) in combinations(outputs.items(), 2):
        if one.resolve() == other.resolve():
            raise InputError(f"--{first} and --{second} are both {one}; give each a name of its own.")


def _check_name(option: str, path: Path, endings: tuple[str, ...]) -> None:
    if not path.name.lower().endswith(endings):
        raise InputError(f"--{option} is {path}; expected a name that ends in {' or '.join(endings)}.")
    if not path.parent.is_dir():
        raise InputError(f"--{option} {path} lies in a folder that does not exist; make it, or choose another.")
    check_place(option, path.parent)
