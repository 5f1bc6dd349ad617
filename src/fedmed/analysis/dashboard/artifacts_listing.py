"""The run folders that the dashboard may read: those of one folder, found by listing it and never by a path."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedmed.core.errors import InputError

EXPERIMENT = "experiment.json"

Stamp = tuple[tuple[str, int, int], ...]
"""The name, the time of the last change in ns and the size of each of some files; equal stamps, equal contents."""


@dataclass(frozen=True)
class ArtifactsListing:
    """The runs of an artifacts folder by their names, and the folders that are left out.

    Attributes:
        leading_out: names of folders that hold, or are, a symbolic link out of the artifacts folder.
    """

    root: Path
    runs: dict[str, Path]
    leading_out: tuple[str, ...]

    @classmethod
    def of(cls, root: Path) -> "ArtifactsListing":
        """The runs that are there now.

        Raises:
            InputError: ``root`` is no folder that can be listed.
        """
        inside, runs, leading_out = root.resolve(), dict[str, Path](), []
        for path in _run_folders(root):
            if all(_is_in(inside, link) for link in _links(path)):
                runs[path.name] = path
            else:
                leading_out.append(path.name)
        return cls(root, runs, tuple(leading_out))

    def find(self, name: str | None) -> Path | None:
        """The folder of a run by its listed name; None for anything else, whatever it spells."""
        return None if name is None else self.runs.get(name)


def stamp_of(folder: Path, *patterns: str) -> Stamp:
    """The stamp of the files below ``folder`` that match one of the patterns, in their order."""
    found = []
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            state = path.stat()
            found.append((str(path.relative_to(folder)), state.st_mtime_ns, state.st_size))
    return tuple(found)


def _run_folders(root: Path) -> list[Path]:
    try:
        shown = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"{root} cannot be listed ({error.strerror}); give a folder of run folders.") from error
    return [path for path in shown if (path / EXPERIMENT).is_file()]


def _links(folder: Path) -> Iterator[Path]:
    """The folder itself where it is a symbolic link, and every one below it; links to folders are not entered."""
    if folder.is_symlink():
        yield folder
    for place, folders, files in os.walk(folder):
        yield from (Path(place, name) for name in (*folders, *files) if os.path.islink(os.path.join(place, name)))


def _is_in(root: Path, link: Path) -> bool:
    """True where a symbolic link leads to a place below ``root``; not where it leads round in circles."""
    try:
        return link.resolve(strict=False).is_relative_to(root)
    except (OSError, RuntimeError):
        return False
