"""Many files measured at once, and the reason why some of them cannot be."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from fedmed.core.errors import InputError

READERS = 4
"""Files that are read at once: decoding releases the interpreter's lock."""


class NamedFile(Protocol):
    @property
    def file(self) -> str:
        """The name by which its set knows it."""


File = TypeVar("File", bound=NamedFile)
Facts = TypeVar("Facts")


@dataclass(frozen=True)
class MeasuredFiles(Generic[Facts]):
    """The facts by the file's name, and the reason why each of the others cannot be read."""

    facts: dict[str, Facts]
    unreadable: dict[str, str]


def measured_files(files: Sequence[File], measure: Callable[[File], Facts]) -> MeasuredFiles[Facts]:
    """The facts of all files, of which ``measure`` refuses those that it cannot read with an InputError."""
    found = MeasuredFiles[Facts]({}, {})

    def attempt(file: File) -> Facts | InputError:
        try:
            return measure(file)
        except InputError as error:
            return error

    with ThreadPoolExecutor(max_workers=READERS) as pool:
        for file, answer in zip(files, pool.map(attempt, files), strict=True):
            if isinstance(answer, InputError):
                found.unreadable[file.file] = str(answer)
            else:
                found.facts[file.file] = answer
    return found
