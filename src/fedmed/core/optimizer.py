"""The optimisers of local training, by the value of ``--optimizer``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

OptimizerName = Literal["adam", "adamw", "sgd"]

MOMENTUM = 0.9
"""Of ``sgd``, by Nesterov's rule."""

IN_WORDS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD with Nesterov momentum"}


def make_optimizer(name: str, groups: Iterable[dict[str, Any]], weight_decay: float) -> torch.optim.Optimizer:
    """The optimiser of this name.

    Args:
        groups: dictionaries of ``params`` and ``lr``, the learning rate, and of whatever else a group has of its own.
        weight_decay: is part of the gradient for ``adam`` and ``sgd``; ``adamw`` shrinks the weights beside it.
    """
    from torch import optim

    if name == "sgd":
        return optim.SGD(groups, momentum=MOMENTUM, nesterov=True, weight_decay=weight_decay, fused=True)
    kind = {"adam": optim.Adam, "adamw": optim.AdamW}[name]
    return kind(groups, weight_decay=weight_decay, fused=True)
