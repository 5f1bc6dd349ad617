"""Files of weights that somebody else has trained, opened without running anything that is in them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from fedmed.core.errors import InputError

SAFE = ".safetensors"

NESTED = ("state_dict", "model", "model_state_dict")
"""Keys under which checkpoints hold a state dict beside other things."""


def read_pretrained(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a state dict by name, from a file of ``torch.save`` or of safetensors.

    Raises:
        InputError: there is no such file, it holds anything that would be run, or no tensors.
    """
    if not path.is_file():
        raise InputError(f"--pretrained {path} is no file; restore it, or give a file of weights.")
    content: Any = _safetensors(path) if path.suffix == SAFE else _torch(path)
    for key in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    tensors = content.items() if isinstance(content, Mapping) else ()
    found = {str(name).removeprefix("module."): each for name, each in tensors if isinstance(each, torch.Tensor)}
    if not found:
        raise InputError(f"--pretrained {path} holds no tensors by name; give the state dict of a network.")
    return found


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"--pretrained {path} is no whole file of safetensors ({error}); bring it anew.") from error


def _torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds, and a foreign file many more
        raise InputError(
            f"--pretrained {path} is damaged or holds more than weights, which could run code when it is opened "
            f"({type(error).__name__}); give a state dict from torch.save, or a {SAFE} file."
        ) from error
