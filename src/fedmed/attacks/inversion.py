"""Gradient inversion: from the update that a site sends back to the image that it was computed on.

Geiping et al. 2020, "Inverting gradients" (arXiv 2003.14053), section 4: an image is changed until the gradient that it
causes points where the observed update points, with little total variation. The attacker here is a strong one: it has
the weights before the update, the label, and an update of one step on one crop, without dropout.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

Gradient = tuple[torch.Tensor, ...]
"""A tensor a parameter, in the model's order."""

Seen = Callable[[Gradient], Gradient]
"""From a gradient to the direction in which the optimiser shows it to others."""

INTENSITY = 5.0
"""The attacker knows that images are normalised, so no voxel is further than this from 0, in standard deviations."""

START = 0.1
"""The noise that the search begins with, small: what the update does not decide stays as it began."""


@dataclass(frozen=True)
class Search:
    """How long and with what weights the attacker looks for the image."""

    steps: int = 400
    learning_rate: float = 0.1
    total_variation: float = 3e-2
    seed: int = 0


def gradient_of(
    model: nn.Module, criterion: nn.Module, image: torch.Tensor, label: torch.Tensor, *, graph: bool = False
) -> Gradient:
    """The gradient of the loss by every parameter.

    Args:
        model: in eval mode.
        criterion: the loss of (logits, label).
        image: (1, C, D, H, W).
        label: (1, regions, D, H, W), float.
        graph: whether the gradient shall itself be differentiable by the image.
    """
    loss = criterion(model(image), label)
    return torch.autograd.grad(
        loss, tuple(model.parameters()), create_graph=graph, allow_unused=True, materialize_grads=True
    )


def plain_update(model: nn.Module, gradient: Gradient, learning_rate: float) -> dict[str, np.ndarray]:
    """The weight differences of one step of plain gradient descent, by parameter name."""
    names = [name for name, _ in model.named_parameters()]
    return {name: (-learning_rate * values).numpy() for name, values in zip(names, gradient, strict=True)}


def adam_update(
    model: nn.Module, gradient: Gradient, learning_rate: float, weight_decay: float
) -> dict[str, np.ndarray]:
    """The weight differences of the first step of a fresh Adam, as a site takes it; the model stays as it is.

    Its bias correction makes that step -lr g / (|g| + 1e-8), almost the gradient's signs alone.
    """
    stepped = copy.deepcopy(model)
    optimizer = torch.optim.Adam(stepped.parameters(), lr=learning_rate, weight_decay=weight_decay)
    for parameter, values in zip(stepped.parameters(), gradient, strict=True):
        parameter.grad = values.clone()
    optimizer.step()
    before = dict(model.named_parameters())
    return {name: (after - before[name]).detach().numpy() for name, after in stepped.named_parameters()}


def as_plain(gradient: Gradient) -> Gradient:
    """What plain gradient descent shows: the gradient itself."""
    return gradient


def as_signs(gradient: Gradient) -> Gradient:
    """What Adam's first step shows, smoothed so that it can be differentiated: g / sqrt(g^2 + (median |g|)^2) a tensor.

    The signs themselves have no derivative, so that the search would not move.
    """
    return tuple(g * torch.rsqrt(g * g + g.detach().abs().median() ** 2 + 1e-24) for g in gradient)


def mismatch(gradient: Sequence[torch.Tensor], observed: Sequence[torch.Tensor]) -> torch.Tensor:
    """One less the cosine between two gradients, over all parameters at once: from 0 (same direction) to 2."""
    dot = sum((a * b).sum() for a, b in zip(gradient, observed, strict=True))
    norms = [torch.sqrt(sum(((a * a).sum() for a in each), torch.zeros(()))) for each in (gradient, observed)]
    return 1 - dot / (norms[0] * norms[1]).clamp_min(1e-30)


def total_variation(image: torch.Tensor) -> torch.Tensor:
    """The mean absolute difference of neighbours along the three axes of (1, C, D, H, W), summed."""
    return torch.stack([image.diff(dim=axis).abs().mean() for axis in (2, 3, 4)]).sum()


def reconstruct(
    model: nn.Module,
    criterion: nn.Module,
    update: dict[str, np.ndarray],
    label: torch.Tensor,
    channels: int,
    search: Search,
    seen: Seen = as_plain,
) -> torch.Tensor:
    """The image whose gradient fits an update best, by Adam on the signs of its own gradient (section 4.2, "signed").

    Args:
        model: with the weights before the update, in eval mode, on the CPU in float32.
        criterion: the training loss.
        update: weight differences by parameter name.
        label: (1, regions, D, H, W), known to the attacker.
        channels: of the image.
        search: how to look.
        seen: how the optimiser shows a gradient.

    Returns:
        (1, channels, D, H, W), normalised intensities; the best of those that the search passed.
    """
    observed = tuple(-torch.from_numpy(update[name]) for name, _ in model.named_parameters())
    generator = torch.Generator().manual_seed(search.seed)
    shape = (1, channels, *label.shape[2:])
    image = (START * torch.randn(shape, generator=generator)).requires_grad_()
    optimizer = torch.optim.Adam([image], lr=search.learning_rate)
    falls = [search.steps * eighths // 8 for eighths in (3, 5, 7)]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, falls, gamma=0.1)
    best, least = image.detach().clone(), float("inf")
    for _ in range(search.steps):
        found = seen(gradient_of(model, criterion, image, label, graph=True))
        cost = mismatch(found, observed) + search.total_variation * total_variation(image)
        if cost.item() < least:
            best, least = image.detach().clone(), cost.item()
        (slope,) = torch.autograd.grad(cost, image)
        image.grad = slope.sign()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            image.clamp_(-INTENSITY, INTENSITY)
    return best


def psnr(truth: torch.Tensor, found: torch.Tensor) -> float:
    """Peak signal to noise in dB, the peak being the truth's range. Any one shape."""
    error = torch.mean((truth - found) ** 2).clamp_min(1e-12)
    return float(10 * torch.log10((truth.max() - truth.min()) ** 2 / error))


def correlation(truth: torch.Tensor, found: torch.Tensor) -> float:
    """Pearson's correlation of voxels, the mean over the channels of (1, C, D, H, W); 0 where a channel is constant.

    Channel by channel, so that a right mean of each modality alone is no success.
    """
    pairs = [torch.stack([a.flatten(), b.flatten()]) for a, b in zip(truth[0], found[0], strict=True)]
    return float(torch.stack([torch.corrcoef(pair)[0, 1].nan_to_num(0.0) for pair in pairs]).mean())
