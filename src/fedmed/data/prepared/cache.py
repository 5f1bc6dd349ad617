"""A cache folder of results made from files: whole entries or none, and never more than a limit."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fedmed.core.errors import InputError

if TYPE_CHECKING:
    import torch

ENTRY = re.compile(r"[0-9a-f]{64}\.[a-z]+")
"""The name of an entry: its content key and its kind. All other files in the folder are left alone."""

REMEDY = "name another with --cache_dir or CACHE_ROOT, or give --cache_gb 0 to keep nothing on disk"

WRITERS = 64
"""Processes that may write at once. After a look at the folder each may add its share of what is free without another
look, so that a folder of thousands of small entries is not looked through for each of them."""

_PART = ".part"
_CHECKSUM_BYTES = 4
_ABANDONED_S = 3600.0  # no entry takes that long to write, so whoever began it was killed


class Cache:
    """Entries by name, shared by all processes that open the folder, at one time or one after another.

    An entry appears whole or not at all, ends with a checksum, and may go at any time: what is not there is made anew.
    ``folder`` is made for its owner alone, because what is made from patients' images is as private as they are.

    Args:
        folder: where the entries lie.
        limit_bytes: how much they may take together; processes that write at the same moment may exceed it by that.

    Raises:
        InputError: the folder cannot be made or written.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes
        self._storing = True
        self._granted = 0  # bytes that may be written without another look at the folder
        self._warned: set[str] = set()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._began_ns = self._try_out()
            self._remove_abandoned()
        except OSError as error:
            raise InputError(f"The cache folder {folder} cannot be written ({error.strerror}); {REMEDY}.") from error

    def read(self, name: str) -> bytes | None:
        """An entry's bytes, or None where there is none or it is damaged. What is read counts as used now."""
        path = self._path(name)
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                data, checksum = file.read(max(0, size - _CHECKSUM_BYTES)), file.read(_CHECKSUM_BYTES)
        except OSError:
            return None
        if checksum != _checksum(data):
            return None
        with contextlib.suppress(OSError):  # removed in this moment, or another user's
            os.utime(path)
        return data

    def write(self, name: str, data: bytes) -> bool:
        """Store an entry, in place of any of that name; True where there was room.

        Room is made of what no one has used since this cache was opened, the least recently used first: a cache that is
        too small for a run then keeps a part of its cases instead of replacing each by the next. A disk that refuses is
        reported once in the log, leaves nothing behind and is not tried again.
        """
        path = self._path(name)
        if not self._storing:
            return False
        try:
            if not self._make_room(len(data) + _CHECKSUM_BYTES):
                self._warn(f"holds its {self.limit_bytes / 1e9:g} GB; give more with --cache_gb")
                return False
            self._put(path, data)
        except OSError as error:
            self._storing = False
            self._warn(f"takes no more ({error.strerror}); free space, or {REMEDY}")
            return False
        return True

    def used_bytes(self) -> int:
        """The size of the entries, with those that are being written."""
        return sum(entry.size for entry in self._entries())

    def _path(self, name: str) -> Path:
        assert ENTRY.fullmatch(name), name
        return self.folder / name

    def _put(self, path: Path, data: bytes) -> None:
        descriptor, part = tempfile.mkstemp(prefix=".", suffix=_PART, dir=self.folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.write(_checksum(data))
                file.flush()
                os.fsync(descriptor)  # a full disk may fail only now
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise

    def _make_room(self, size: int) -> bool:
        if size <= self._granted:
            self._granted -= size
            return True
        entries = list(self._entries())
        excess = sum(entry.size for entry in entries) + size - self.limit_bytes
        self._granted = max(0, -excess) // WRITERS
        unused = sorted(e for e in entries if e.used_ns < self._began_ns and e.path.suffix != _PART)
        if excess > sum(entry.size for entry in unused):
            return False
        for entry in unused:
            if excess <= 0:
                break
            entry.path.unlink(missing_ok=True)  # another process that wants it makes it anew
            excess -= entry.size
        return True

    def _try_out(self) -> int:
        """Write a little; the time of that, in ns by the clock that dates the entries."""
        with tempfile.NamedTemporaryFile(prefix=".", suffix=_PART, dir=self.folder) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            return os.fstat(file.fileno()).st_mtime_ns

    def _remove_abandoned(self) -> None:
        oldest_ns = time.time_ns() - int(_ABANDONED_S * 1e9)
        for entry in self._entries():
            if entry.path.suffix == _PART and entry.used_ns < oldest_ns:
                entry.path.unlink(missing_ok=True)

    def _entries(self) -> Iterator[_Entry]:
        with os.scandir(self.folder) as found:
            for item in found:
                if ENTRY.fullmatch(item.name) or item.name.endswith(_PART):
                    with contextlib.suppress(FileNotFoundError):  # removed since
                        status = item.stat()
                        yield _Entry(status.st_mtime_ns, status.st_size, Path(item.path))

    def _warn(self, what: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            warning = "The cache folder %s %s. The run goes on and prepares further cases anew each time."
            logging.getLogger(__name__).warning(warning, self.folder, what)


@dataclass(frozen=True)
class Caching:
    """The places of prepared cases: a share of them in memory, and the disk if there is a cache.

    What follows, an item's random transforms, is computed on ``device``; None is where they lie, the CPU.
    """

    share_in_memory: float = 0.0
    disk: Cache | None = None
    device: torch.device | None = None


class _Entry(NamedTuple):
    used_ns: int
    size: int
    path: Path


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_CHECKSUM_BYTES, "big")
