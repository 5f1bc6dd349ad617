"""One at a time on a run folder: who runs a run holds its lock, and so do the processes that it has started."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from fedmed.core.errors import InputError

LOCK = ".lock"


@contextlib.contextmanager
def held(run: Path) -> Iterator[None]:
    """Hold a run's lock; the system lets go of it when the last process that has it has ended, however it did.

    Processes that are started with ``close_fds=False`` have it too: a simulator, or a federation's server and sites,
    that outlive their launcher still write to the folder. What FLARE starts in its turn ends with them.

    Raises:
        InputError: another process holds it.
    """
    descriptor = taken(run / LOCK)
    if descriptor is None:
        who = ", ".join(str(pid) for pid in _holders(run / LOCK)) or "of another user"
        raise InputError(f"{run} is still running (process {who}); wait for its end, or end it first.")
    try:
        os.set_inheritable(descriptor, True)
        yield
    finally:
        os.close(descriptor)


def is_held(run: Path) -> bool:
    """True while some process holds a run's lock; nothing is written or made to find out.

    The look is a shared lock of some microseconds, which only another look does not mind.
    """
    try:
        descriptor = os.open(run / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def taken(lock: Path, mode: int = 0o644) -> int | None:
    """The descriptor of a file that is locked from now on until it is closed; None where another process has it.

    Args:
        mode: the permissions of the file, where it is made.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, mode)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def waiting(lock: Path) -> Iterator[None]:
    """Hold a file's lock for a short while, and wait until another process has let go of it.

    Raises:
        OSError: the file cannot be made.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _holders(lock: Path) -> list[int]:
    """The processes that have the file open, but this one."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and any(file.path == str(lock.resolve()) for file in process.open_files()):
                found.append(process.pid)
    return sorted(found)
