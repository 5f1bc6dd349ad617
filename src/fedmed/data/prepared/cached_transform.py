"""Deterministic transforms whose results are kept on disk, by the contents of a case's files and what is done to them.

MONAI's PersistentDataset is not used for it: it names results by the files' paths instead of their contents, and by the
transforms only if told how; it knows no limit of size; a full disk ends the run; and it moves results over from the
system's temporary folder, which on another file system is a copy of which a reader may see a half.
"""

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import monai.transforms as mt
import torch

from fedmed.data.prepared.cache import Cache
from fedmed.data.prepared.compact import pack, unpack
from fedmed.data.prepared.content_key import content_key
from fedmed.data.prepared.transform_key import recipe


class Kept(mt.Transform):
    """Applies ``fixed``, which ends with :class:`fedmed.data.prepared.compact.Compact`, or reads what it gave before.

    Takes items of ``image`` (a list of paths) and ``label`` (a path). Their other keys are handed on as they are.

    Args:
        fixed: transforms without chance.
        disk: where results are kept; with None every one is computed.
    """

    def __init__(self, fixed: Sequence[mt.Transform], disk: Cache | None) -> None:
        self.fixed = mt.Compose(fixed)
        self.disk = disk
        self.recipe = recipe(fixed) if disk else ""

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        if self.disk is None:
            return self._made(item)
        name = self.entry(item)
        data = self.disk.read(name)
        if data is not None:
            return {**item, **unpack(data)}
        made = self._made(item)
        if self.entry(item) == name:  # or a file changed while it was read
            self.disk.write(name, pack(made))
        return made

    def entry(self, item: Mapping[str, Any]) -> str:
        """The name of the item's entry. A file is read for it again only when its size or time has changed.

        Raises:
            InputError: a file cannot be read.
        """
        files = tuple(map(Path, (*item["image"], item["label"])))
        return f"{_key(files, tuple(map(_stamp, files)), self.recipe)}.case"

    def _made(self, item: Mapping[str, Any]) -> dict[str, Any]:
        with _one_thread():
            return dict(self.fixed(item))


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
def _key(files: tuple[Path, ...], stamps: tuple[object, ...], recipe: str) -> str:
    return content_key(files, recipe)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None  # content_key says what is wrong with it
    return status.st_ino, status.st_size, status.st_mtime_ns
