"""An encoder's weights from a file, fitted to a network, with an account of what fits and what does not."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fedmed.core.errors import InputError, counted
from fedmed.networks.encoder_names import depths, first_of, own_names
from fedmed.networks.grid_transformer import resized_positions
from fedmed.networks.pretrained_file import read_pretrained, sha256_of

Weights = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class PretrainedEncoder:
    """Entries of a network's encoder from a file.

    Attributes:
        file: the file's name, without its folder.
        sha256: of the file, in hexadecimal digits.
        entries: by the network's names, with its shapes.
        left_out: the file's names of what the encoder does not have.
        missing: the encoder's names of what the file does not have, which stay random.
        adapted: what was changed to fit, in words.
    """

    file: str
    sha256: str
    entries: Weights
    left_out: tuple[str, ...]
    missing: tuple[str, ...]
    adapted: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The account as JSON values, without the weights."""
        return {
            "file": self.file,
            "sha256": self.sha256,
            "loaded": len(self.entries),
            "left_out": list(self.left_out),
            "missing": list(self.missing),
            "adapted": list(self.adapted),
        }


def pretrained_encoder(model: nn.Module, path: Path) -> PretrainedEncoder:
    """The weights of ``model``'s encoder in a file of this project, of timm or of torchvision.

    Raises:
        InputError: the file cannot be used, or is of another architecture or depth.
    """
    found = read_pretrained(path)
    encoder: tuple[str, ...] = model.ENCODER  # type: ignore[assignment]
    own = {name: values for name, values in model.state_dict().items() if name.startswith(encoder)}
    named = own_names(found, encoder)
    _refuse_other_depth(path, own, named.values())
    fitting = {name: mine for name, mine in named.items() if mine in own}
    if not fitting:
        raise InputError(
            f"--pretrained {path} holds no entry of {type(model).__name__}'s encoder: found{first_of(found)}, "
            f"expected{first_of(own)}, or timm's or torchvision's names of them."
        )
    entries, adapted = {}, []
    for name, mine in fitting.items():
        entries[mine], how = _fitted(path, name, found[name], own[mine])
        adapted += [f"{name} {how}"] if how else []
    left_out, missing = (tuple(sorted(set(a) - set(b))) for a, b in ((found, fitting), (own, entries)))
    return PretrainedEncoder(path.name, sha256_of(path), entries, left_out, missing, tuple(adapted))


def load_encoder(model: nn.Module, pretrained: PretrainedEncoder) -> None:
    """Put the entries into the network, whose other ones stay as they are."""
    model.load_state_dict(dict(pretrained.entries), strict=False)


def _refuse_other_depth(path: Path, own: Weights, named: Any) -> None:
    mine, theirs = depths(own), depths(named)
    for stage, count in mine.items():
        if stage in theirs and theirs[stage] != count:
            raise InputError(
                f"--pretrained {path} is of another depth: it has {counted(theirs[stage], 'block')} where the "
                f"network's {stage} has {count}; give the weights of the same architecture."
            )


def _fitted(path: Path, name: str, found: torch.Tensor, own: torch.Tensor) -> tuple[torch.Tensor, str]:
    """An entry of the file with the network's shape and type, and how it was changed to have it."""
    values, how = found, ""
    if found.shape != own.shape and name.endswith("pos_embed") and found.ndim == own.ndim == 3:
        values, how = _positions(found, own.shape[1])
    elif found.ndim == own.ndim == 4 and (found.shape[1], own.shape[1]) == (3, 1):
        values, how = found.sum(1, keepdim=True), "summed over RGB for one channel"
    elif found.ndim == own.ndim == 4 and (found.shape[1], own.shape[1]) == (1, 3):
        values, how = found.expand(-1, 3, -1, -1) / 3, "shared out among three channels"
    if values.shape != own.shape:
        raise InputError(
            f"--pretrained {path} is of another architecture: {name} is {tuple(found.shape)} in the file and "
            f"{tuple(own.shape)} in the network; give the weights of the same architecture."
        )
    if not torch.isfinite(values).all():
        raise InputError(f"--pretrained {path} holds NaN or infinite values in {name}; bring the file anew.")
    return values.to(own.dtype), how


def _positions(found: torch.Tensor, places: int) -> tuple[torch.Tensor, str]:
    """Position embeddings for a square grid of so many places, from one of another, with or without a class token."""
    without_class = found[:, 1:] if math.isqrt(found.shape[1]) ** 2 != found.shape[1] else found
    before, after = (math.isqrt(count) for count in (without_class.shape[1], places))
    if before**2 != without_class.shape[1]:
        return found, ""  # no square grid, which the caller refuses by its shape
    token = "" if without_class is found else ", without the class token"
    values = without_class if before == after else resized_positions(
        without_class.float(), (before, before), (after, after)
    )  # fmt: skip
    grids = "" if before == after else f"interpolated from {before}x{before} places to {after}x{after}"
    return values, f"{grids}{token}".removeprefix(", ")
