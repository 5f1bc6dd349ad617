"""The frozen part of a network in training: no gradients, and running statistics that do not move."""

from collections.abc import Collection

from torch import nn


def hold_still(model: nn.Module, frozen: Collection[str]) -> None:
    """Let no parameter of these names train, and hold in evaluation mode whatever layers have frozen entries alone.

    A layer that has others too is held where its own running statistics are frozen: it would move them. In place.

    Args:
        model: in training mode.
        frozen: names of entries of its state dict.
    """
    if not frozen:
        return
    for name, parameter in model.named_parameters(remove_duplicate=False):
        parameter.requires_grad_(parameter.requires_grad and name not in frozen)
    for prefix, layer in model.named_modules():
        start = f"{prefix}." if prefix else ""
        if _is_frozen(start, layer, frozen):
            layer.eval()
        if any(start + name in frozen for name, _ in layer.named_buffers(recurse=False)):
            layer.training = False


def _is_frozen(start: str, layer: nn.Module, frozen: Collection[str]) -> bool:
    """True where a layer has entries, in itself or in layers within it, and all of them are frozen."""
    inside = {start + name for name in layer.state_dict()}
    return bool(inside) and inside <= set(frozen)
