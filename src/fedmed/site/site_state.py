"""A site's state between rounds, on its own disk, so that a process started later goes on where the last one stood."""

import contextlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from fedmed.core.files import private_folder
from fedmed.core.weights import write_tensors
from fedmed.site.state_memory import StateMemory

_NAME = re.compile(r"after-(\d+)\.pt")
_KEPT = 2
"""The round that the server may still lose, and the last one before it in which the site trained."""


class SiteState:
    """Files of tensors and numbers by round, in a folder of the site's own.

    Args:
        memory: holds the latest state too, where one process has many sites.
    """

    def __init__(self, folder: Path, memory: StateMemory | None = None) -> None:
        self.folder, self._memory = folder, memory

    def save(self, rounds: int, content: Mapping[str, Any]) -> None:
        """Keep the state after so many rounds, whole or not at all, and forget those that nobody can ask for."""
        private_folder(self.folder)  # an optimiser's state tells of the data
        write_tensors(self.folder / f"after-{rounds}.pt", content)
        earlier = sorted(number for number in self._rounds() if number < rounds)
        self._remove([*earlier[: 1 - _KEPT], *(number for number in self._rounds() if number > rounds)])

    def hold(self, rounds: int, content: Mapping[str, Any]) -> None:
        """Hold in memory what :meth:`save` was given; the caller lets go of it."""
        if self._memory is not None:
            self._memory.put(self.folder, rounds, content)

    def load(self, rounds: int) -> tuple[int, dict[str, Any]] | None:
        """The latest state that is not after more than so many rounds, and after how many; None where there is none.

        Nothing in a file is executed; one that was cut off is passed over.
        """
        held = self._memory.take(self.folder, rounds) if self._memory is not None else None
        if held is not None:
            return rounds, dict(held)
        for number in sorted(self._rounds(), reverse=True):
            path = self.folder / f"after-{number}.pt"
            if number <= rounds:
                with contextlib.suppress(Exception):  # torch raises many kinds
                    return number, torch.load(path, map_location="cpu", weights_only=True)
        return None

    def forget(self) -> None:
        """The run is over: remove all."""
        self._remove(self._rounds())
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _remove(self, rounds: Iterable[int]) -> None:
        """These states, and what a process that was killed while it wrote one has left."""
        for path in (*(self.folder / f"after-{number}.pt" for number in rounds), *self.folder.glob(".*.part")):
            path.unlink()

    def _rounds(self) -> list[int]:
        found = (_NAME.fullmatch(path.name) for path in self.folder.glob("after-*.pt"))
        return [int(match[1]) for match in found if match]
