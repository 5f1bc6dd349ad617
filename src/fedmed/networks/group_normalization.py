"""Group norms in a network: they know no other case of a batch and keep no running statistics."""

from typing import Any, Literal

from torch import nn

Norm = Literal["batch", "group"]

GROUPS = 8
"""Of the groups of a layer of at least 16 channels, where nothing that was published says another number."""


def block_form(norm: Norm) -> dict[str, Any]:
    """Arguments of MONAI's blocks of convolutions: a ReLU, this normalisation, and no bias before it."""
    made = ("batch", {}) if norm == "batch" else ("group", {"num_groups": GROUPS})
    return {"act": ("relu", {"inplace": True}), "norm": made, "bias": False}


def normalize_by_groups(network: nn.Module, groups: int = 32) -> None:
    """Put a group norm in the place of every batch norm of a 2D network, under the same names."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.GroupNorm(groups, child.num_features))
