"""Deterministic transforms whose results are cached on disk, by the contents of a case's files and the work on them.

MONAI's PersistentDataset is not used for it: it names results by the files' paths instead of their contents, and by the
transforms only through a function of its caller's; it knows no limit of size; a full disk ends the run; and it moves
results over from the system's temporary folder, on another file system by a copy of which a reader may see a half.
"""

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import monai.transforms as mt
import torch

from fedmed.data.prepared.cache import Cache
from fedmed.data.prepared.compact import KEYS, pack, unpack
from fedmed.data.prepared.content_key import content_key
from fedmed.data.prepared.transform_key import transforms_text


class CachedTransform(mt.Transform):
    """Applies ``fixed``, which ends with :class:`fedmed.data.prepared.compact.Compact`, or reads an earlier result.

    Takes items whose ``keys`` hold files: ``image`` a list of paths, ``label`` a path where it is a segmentation. The
    other keys, among them the classes of a case, pass through unchanged and are no part of an entry.

    Args:
        fixed: deterministic transforms.
        disk: the folder of the results; with None every one is computed.
        keys: the keys that hold files before and arrays afterwards, those of ``Compact``.
    """

    def __init__(self, fixed: Sequence[mt.Transform], disk: Cache | None, keys: Sequence[str] = KEYS) -> None:
        self.fixed = mt.Compose(fixed)
        self.disk = disk
        self.keys = tuple(keys)
        self.work = transforms_text(fixed) if disk else ""

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        if self.disk is None:
            return self._computed(item)
        name = self.entry(item)
        data = self.disk.read(name)
        if data is not None:
            return {**item, **unpack(data, self.keys)}
        computed = self._computed(item)
        if self.entry(item) == name:  # or a file changed while it was read
            self.disk.write(name, pack(computed, self.keys))
        return computed

    def entry(self, item: Mapping[str, Any]) -> str:
        """The name of the item's entry. A file is read for it again only when its size or time has changed.

        Raises:
            InputError: a file cannot be read.
        """
        files = tuple(path for key in self.keys for path in _paths(item[key]))
        return f"{_key(files, tuple(map(_stamp, files)), self.work)}.case"

    def _computed(self, item: Mapping[str, Any]) -> dict[str, Any]:
        with _one_thread():
            return dict(self.fixed(item))


def _paths(value: Any) -> list[Path]:
    return [Path(value)] if isinstance(value, str | Path) else [Path(path) for path in value]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Sums over a volume depend on how many threads share them, and an entry must fit every process that finds it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@functools.cache
def _key(files: tuple[Path, ...], stamps: tuple[object, ...], work: str) -> str:
    return content_key(files, work)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None  # content_key raises the error that names the file
    return status.st_ino, status.st_size, status.st_mtime_ns
