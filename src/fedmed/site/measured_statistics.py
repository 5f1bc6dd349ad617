"""The running statistics of batch normalisation, measured on a model as it is.

The mean of the sites' weights is another network than any of theirs: its layers' outputs have other means and
variances than the mean of those that the sites noted while they trained. As with weights averaged over time, the
statistics must be measured anew (Izmailov et al. 2018, "Averaging weights leads to wider optima and better
generalization", section 3.2).
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

CASES = 512
"""Cases on which statistics are measured, or all where there are fewer."""


def batches_of(size: int) -> int:
    """The number of batches of ``size`` cases that hold :data:`CASES`."""
    return -(-CASES // size)


@torch.no_grad()
def measure_statistics(
    model: nn.Module, images: Iterable[torch.Tensor], into_training: Callable[[nn.Module], Any] = nn.Module.train
) -> None:
    """Replace the running statistics of every batch normalisation by their means over batches of ``images``.

    Args:
        images: batches (B, C, ...) on the model's device, as they come in training.
        into_training: puts the model into training mode; layers that it leaves in evaluation mode keep theirs.
    """
    modes = [(module, module.training) for module in model.modules()]
    into_training(model)
    layers = [(each, each.momentum) for each in model.modules() if isinstance(each, _BatchNorm) and each.training]
    for layer, _ in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean of all batches with equal weights
    if layers:
        deque(map(model, images), maxlen=0)
    for layer, momentum in layers:
        layer.momentum = momentum
    for module, training in modes:
        module.training = training


def hold_statistics(model: nn.Module) -> None:
    """Let every batch normalisation work by its running statistics and leave them as they are.

    Then a network trains as it is scored, and no batch decides how its images are normalised (Zhong et al. 2023,
    arXiv 2303.06530).
    """
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.eval()
