"""Sites of one machine that take turns to compute, where they are more than its cores.

Two processes on two cores, one after another, are done sooner than four at once that push each other out of the caches,
and two hold the memory of a training step instead of four. While a site waits, another one's messages travel.
"""

import contextlib
import ctypes
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

VARIABLE = "FEDMED_TURNS"
"""The folder with a file for each site that may compute at the same time; a site without it never waits."""

_LOOK_S = 0.01


def make_turns(folder: Path, at_once: int) -> None:
    """A folder that lets ``at_once`` processes compute at the same time."""
    folder.mkdir()
    for number in range(at_once):
        (folder / f"{number}.turn").touch()


@contextlib.contextmanager
def turn() -> Iterator[None]:
    """Wait until this process may compute. A process that dies gives its turn back."""
    folder = os.environ.get(VARIABLE)
    with contextlib.ExitStack() as stack:
        if folder:
            files = [stack.enter_context(path.open("rb")) for path in sorted(Path(folder).glob("*.turn"))]
            taken = _take_one(files)
            # closing it is not enough: processes that were forked meanwhile have it open too
            stack.callback(fcntl.flock, taken, fcntl.LOCK_UN)
            stack.callback(_give_memory_back)
        yield


def _give_memory_back() -> None:
    """What a training step held and has freed, so that it is there for whoever has the next turn."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)


def _take_one(files: Sequence[BinaryIO]) -> int:
    while True:
        for file in files:
            with contextlib.suppress(BlockingIOError):  # another process has it
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                return file.fileno()
        time.sleep(_LOOK_S)
