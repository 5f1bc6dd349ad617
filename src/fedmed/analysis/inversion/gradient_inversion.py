"""Gradient inversion: from the update that a site sends back to the image that it was computed on.

Geiping et al. 2020, "Inverting gradients" (arXiv 2003.14053), section 4: an image is changed until the gradient that it
causes points where the observed update points, with little total variation. The attacker here is a strong one: it has
the weights before the update, the label, and an update of one step on one image or crop, without dropout.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from fedmed.privacy.base import PrivateUpdate

Gradient = tuple[torch.Tensor, ...]
"""A tensor a parameter, in the model's order."""

Seen = Callable[[Gradient], Gradient]
"""From a gradient to the part of it that can be read off an update."""

ADAM_EPSILON = 1e-8
"""PyTorch's, which the recipe does not change."""

SATURATED = 0.1
"""The most that a value read off an update of Adam may be; rounding could make it anything. Smaller bounds hide the
sizes of the first layer's gradients, which show most of an image, and gave worse images."""

INTENSITY = 5.0
"""The attacker knows that images are normalised, so no voxel is further than this from 0, in standard deviations."""

START = 0.1
"""The noise that the search begins with, small: what the update does not decide stays as it began."""


@dataclass(frozen=True)
class Search:
    """Length and weights of the attacker's search for the image."""

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
        image: (1, C, ...).
        label: as the loss takes it.
        graph: make the gradient itself differentiable by the image.
    """
    loss = criterion(model(image), label)
    return torch.autograd.grad(
        loss, tuple(model.parameters()), create_graph=graph, allow_unused=True, materialize_grads=True
    )


def plain_update(model: nn.Module, gradient: Gradient, learning_rate: float) -> PrivateUpdate:
    """The weight differences of one step of plain gradient descent, by parameter name."""
    names = [name for name, _ in model.named_parameters()]
    return {name: (-learning_rate * values).numpy() for name, values in zip(names, gradient, strict=True)}


def adam_update(
    model: nn.Module, gradient: Gradient, learning_rate: float, weight_decay: float, *, decoupled: bool = False
) -> PrivateUpdate:
    """The weight differences of the first step of a fresh Adam, as a site takes it; the model stays as it is.

    Its bias correction makes that step -lr g / (|g| + 1e-8), with g of the weight decay too: almost signs alone.
    ``decoupled`` is AdamW's decay, which is no part of g.
    """
    stepped = copy.deepcopy(model)
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    optimizer = kind(stepped.parameters(), lr=learning_rate, weight_decay=weight_decay)
    for parameter, values in zip(stepped.parameters(), gradient, strict=True):
        parameter.grad = values.clone()
    optimizer.step()
    before = dict(model.named_parameters())
    return {name: (after - before[name]).detach().numpy() for name, after in stepped.named_parameters()}


def from_plain(model: nn.Module, update: PrivateUpdate, learning_rate: float) -> Gradient:
    """The gradient behind a step of plain gradient descent."""
    return tuple(-torch.from_numpy(update[name]) / learning_rate for name, _ in model.named_parameters())


def from_adam(
    model: nn.Module, update: PrivateUpdate, learning_rate: float, weight_decay: float, *, decoupled: bool = False
) -> Gradient:
    """The gradient behind the first step of a fresh Adam, as far as float32 holds it: its values up to SATURATED.

    That step is s = g / (|g| + e), e = 1e-8, per learning rate, so g = e s / (1 - |s|): Adam's e, which shall only
    prevent a division by 0, gives away sizes and not signs alone. Where 1 - |s| is lost to rounding only the sign is
    left. The weight decay, which is part of g or, decoupled, of the step, is known, since the weights are.
    """
    found = []
    for name, weights in model.named_parameters():
        decay = weight_decay * weights.detach().double()
        signs = -torch.from_numpy(update[name]).double() / learning_rate - (decay if decoupled else 0)
        sizes = ADAM_EPSILON * signs / (1 - signs.abs()).clamp_min(ADAM_EPSILON / SATURATED)
        found.append((sizes.clamp(-SATURATED, SATURATED) - (0 if decoupled else decay)).float())
    return tuple(found)


def as_is(gradient: Gradient) -> Gradient:
    """The gradient as plain gradient descent shows it."""
    return gradient


def saturated(gradient: Gradient) -> Gradient:
    """A gradient as :func:`from_adam` shows it, but differentiable: g / sqrt(1 + (g / SATURATED)^2)."""
    return tuple(values * torch.rsqrt(1 + (values / SATURATED) ** 2) for values in gradient)


def mismatch(gradient: Sequence[torch.Tensor], observed: Sequence[torch.Tensor]) -> torch.Tensor:
    """One less the cosine between two gradients, over all parameters at once: from 0 (same direction) to 2."""
    dot = sum((a * b).sum() for a, b in zip(gradient, observed, strict=True))
    norms = [torch.sqrt(sum(((a * a).sum() for a in each), torch.zeros(()))) for each in (gradient, observed)]
    return 1 - dot / (norms[0] * norms[1]).clamp_min(1e-30)


def total_variation(image: torch.Tensor) -> torch.Tensor:
    """The mean absolute difference of neighbours along each axis of (1, C, ...) after the first two, summed."""
    return torch.stack([image.diff(dim=axis).abs().mean() for axis in range(2, image.ndim)]).sum()


def reconstruct(
    model: nn.Module,
    criterion: nn.Module,
    observed: Gradient,
    label: torch.Tensor,
    shape: Sequence[int],
    search: Search,
    seen: Seen = as_is,
) -> torch.Tensor:
    """The image whose gradient fits the observed one best, by Adam on the signs of the slope, as the paper does.

    Args:
        model: with the weights before the update, in eval mode, on the CPU in float32.
        criterion: the training loss.
        observed: the gradient that was read off an update.
        label: as the loss takes it, known to the attacker.
        shape: of the image, (1, C, ...).
        search: its length and weights.
        seen: from a gradient to the part that an update shows.

    Returns:
        An image of that shape, normalised intensities; the best of those that the search passed.
    """
    generator = torch.Generator().manual_seed(search.seed)
    image = (START * torch.randn(tuple(shape), generator=generator)).requires_grad_()
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
    """Pearson's correlation of voxels, the mean over the channels of (1, C, ...); 0 where a channel is constant.

    Channel by channel, so that a right mean of each modality alone is no success.
    """
    pairs = [torch.stack([a.flatten(), b.flatten()]) for a, b in zip(truth[0], found[0], strict=True)]
    return float(torch.stack([torch.corrcoef(pair)[0, 1].nan_to_num(0.0) for pair in pairs]).mean())
