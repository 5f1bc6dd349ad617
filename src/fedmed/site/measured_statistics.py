"""The running statistics of batch normalisation, measured on a model as it is.

The mean of the sites' weights is another network than any of theirs: its layers' outputs have other means and
variances than the mean of those that the sites noted while they trained. As with weights averaged over time, the
statistics must be measured anew (Izmailov et al. 2018, "Averaging weights leads to wider optima and better
generalization", section 3.2).
"""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

CASES = 512
"""Cases on which statistics are measured, or all where there are fewer."""


def batches_of(size: int) -> int:
    """The number of batches of ``size`` cases that hold :data:`CASES`."""
    return -(-CASES // size)


def measure_statistics(model: nn.Module, images: Iterable[torch.Tensor]) -> None:
    """Replace the running statistics of every batch normalisation by their means over batches of ``images``.

    Args:
        images: batches (B, C, ...) on the model's device, as they come in training.
    """
    update_bn(images, model)


def hold_statistics(model: nn.Module) -> None:
    """Let every batch normalisation work by its running statistics and leave them as they are.

    Then a network trains as it is scored, and no batch decides how its images are normalised (Zhong et al. 2023,
    arXiv 2303.06530).
    """
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.eval()
