"""Weights of a network: their type, their norm, and their files, which open without executing anything."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fedmed.core.errors import InputError
from fedmed.core.files import write_whole

if TYPE_CHECKING:
    import torch

Weights = Mapping[str, "torch.Tensor"]
"""A model's state dict: trainable entries and buffers by name."""

Update = Mapping[str, np.ndarray]
"""Differences of entries by name."""


def l2_norm(update: Update) -> float:
    """The Euclidean norm of all values together, in double precision."""
    return math.sqrt(sum(float(np.square(values, dtype=np.float64).sum()) for values in update.values()))


def payload(arrays: Mapping[str, Any] | None) -> int:
    """Bytes of the arrays of a message, 0 where it has none."""
    return sum(np.asarray(values).nbytes for values in (arrays or {}).values())


def digest(arrays: Mapping[str, Any]) -> str:
    """The SHA-256 of arrays with their names, types and shapes, 64 hexadecimal digits; empty of none."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        values = np.asarray(arrays[name])
        found.update(f"{name} {values.dtype} {values.shape};".encode())
        found.update(np.ascontiguousarray(values).data)
    return found.hexdigest() if arrays else ""


def write_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and numbers as ``torch.load`` reads them, whole or not at all.

    Raises:
        OSError: it cannot be written, in the operating system's words; the old file is untouched.
        TypeError: it holds something else, such as a NumPy array, which would not be read again.
    """
    import torch

    written = io.BytesIO()
    torch.save(dict(content), written)
    written.seek(0)
    foreign = torch.serialization.get_unsafe_globals_in_checkpoint(written)
    if foreign:
        raise TypeError(f"{path.name} would hold {foreign[0]}; expected tensors, numbers and containers of them.")
    write_whole(path, written.getbuffer())


def save_weights(weights: Weights, path: Path) -> None:
    """Write weights under the key ``model``, as FLARE does, whole or not at all."""
    write_tensors(path, {"model": dict(weights)})


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint of FLARE (under its key ``model``), of this project, or of a plain state dict.

    Raises:
        InputError: the file is no checkpoint of weights.
    """
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        weights = {name: torch.as_tensor(values) for name, values in content.get("model", content).items()}
    except Exception as error:  # torch raises many kinds, and a foreign file many more
        kind = type(error).__name__
        raise InputError(f"{path} holds no weights that open safely ({kind}); expected a .pt file of a run.") from error
    if not weights:
        raise InputError(f"{path} holds no weights at all; expected a .pt of a run.")
    return weights


def difference(expected: Weights, found: Weights) -> str:
    """The first difference of a file's weights from a network's in words; empty when they are of one network."""
    for name in sorted(set(expected) ^ set(found)):
        return f"{name} is only in the {'network' if name in expected else 'file'}"
    for name, values in expected.items():
        if found[name].shape != values.shape:
            return f"{name} is {tuple(found[name].shape)} in the file and {tuple(values.shape)} in the network"
    return ""
