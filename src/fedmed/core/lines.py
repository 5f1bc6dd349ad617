"""Files of lines that grow while they are read: whole lines from an offset on, and one line appended."""

import errno
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fedmed.core.files import write_whole


class NewLines(NamedTuple):
    """The whole lines after an offset, and the offset in bytes after them."""

    lines: list[str]
    offset: int


def whole_lines(path: Path, offset: int = 0) -> NewLines:
    """The whole lines of a file after ``offset`` bytes; none where there is no file. A line in the making is left."""
    if not path.is_file():
        return NewLines([], offset)
    with path.open("rb") as file:
        file.seek(offset)
        text = file.read()
    whole = text[: text.rfind(b"\n") + 1]
    return NewLines(whole.decode("utf-8", errors="replace").splitlines(), offset + len(whole))


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of all whole lines of a file; none where there is no file."""
    return [json.loads(line) for line in whole_lines(path).lines]


def append_json_line(path: Path, content: Mapping[str, Any]) -> None:
    """Add one object as a line, and sync it to the disk.

    Raises:
        OSError: it cannot be written whole; the message names ``path``, and nothing of it is left, which the next line
            would be added to.
    """
    line = (json.dumps(content) + "\n").encode()
    with path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(before)
            raise OSError(error.errno, error.strerror, str(path)) from error


def write_json_lines(path: Path, contents: Sequence[Mapping[str, Any]]) -> None:
    """Write a file of lines anew, whole or not at all."""
    write_whole(path, "".join(json.dumps(each) + "\n" for each in contents).encode())
