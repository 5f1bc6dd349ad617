"""The part of a network that may come pretrained, stand still for some rounds, or train at a rate of its own."""

from typing import Any

from torch import nn


def encoder_prefixes(model: nn.Module) -> tuple[str, ...]:
    """The beginnings of the names of the encoder's entries; none where a network states no encoder."""
    return getattr(model, "ENCODER", ())


def freeze_encoder(model: nn.Module) -> None:
    """Let no parameter of the encoder train, and hold its layers in evaluation mode. In place."""
    prefixes = encoder_prefixes(model)
    for name, module in model.named_modules():
        if f"{name}.".startswith(prefixes):
            module.eval()
    for name, parameter in model.named_parameters():
        if name.startswith(prefixes):
            parameter.requires_grad_(False)


def encoder_groups(model: nn.Module, learning_rate: float, encoder_rate: float) -> list[dict[str, Any]]:
    """Groups of parameters for an optimiser: the encoder's at a share of the others' learning rate, and the others."""
    prefixes = encoder_prefixes(model)
    parts: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        parts[name.startswith(prefixes)].append(parameter)
    rates = {True: learning_rate * encoder_rate, False: learning_rate}
    return [{"params": parameters, "lr": rates[part]} for part, parameters in parts.items() if parameters]
