"""The states of many sites in the memory of one process, the latest used of them, up to a limit."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

State = Mapping[str, Any]


class StateMemory:
    """States by the folder in which they are kept too. A state that is taken out is gone from here.

    Args:
        limit: bytes of tensors in all.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self._states: OrderedDict[Path, tuple[int, State]] = OrderedDict()

    def put(self, folder: Path, rounds: int, state: State) -> None:
        """Hold a state after so many rounds, and let go of those that were not used for longest."""
        self.take(folder, rounds)
        self._states[folder] = rounds, state
        self.size += size_of(state)
        while self.size > self.limit:
            self._drop(next(iter(self._states)))

    def take(self, folder: Path, rounds: int) -> State | None:
        """The state after exactly so many rounds; None where it is not here."""
        found = self._drop(folder)
        return found[1] if found and found[0] == rounds else None

    def _drop(self, folder: Path) -> tuple[int, State] | None:
        found = self._states.pop(folder, None)
        self.size -= size_of(found[1]) if found else 0
        return found


def size_of(content: Any) -> int:
    """Bytes of the tensors in nested containers."""
    if isinstance(content, torch.Tensor):
        return content.nbytes
    if isinstance(content, Mapping):
        return sum(map(size_of, content.values()))
    return sum(map(size_of, content)) if isinstance(content, list | tuple) else 0
