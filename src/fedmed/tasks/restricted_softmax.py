"""Restricted softmax for sites that lack classes (FedRS: Li and Zhan 2021, doi 10.1145/3447548.3467254, section 4).

A site without images of a class pushes that class's logit down with every step, and the mean of the sites forgets the
class. Here a site scales the logits of classes that it lacks, in its training loss alone, so that it pushes them less.
"""

import torch
from torch import nn
from torch.nn import functional as F


class RestrictedCrossEntropy(nn.Module):
    """Cross-entropy over logits of which those of missing classes are scaled; a mean over the batch.

    Args:
        scale: of the logits of missing classes, 0 to 1; with 1 it is the usual cross-entropy.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss, a scalar.

        Args:
            logits: (B, K).
            label: numbers of classes (B,), or rows of :func:`restricted_label` (B, K).
        """
        if label.ndim == 1:
            return F.cross_entropy(logits, label)
        scaled = torch.where(label.isnan(), self.scale * logits, logits)
        return F.cross_entropy(scaled, class_of(label))


def restricted_label(number: int, present: frozenset[int], classes: int) -> torch.Tensor:
    """A label (K,): 1 for its class, 0 for others that the site has, NaN for those that it lacks."""
    values = [float(each == number) if each in present else float("nan") for each in range(classes)]
    return torch.tensor(values)


def class_of(label: torch.Tensor) -> torch.Tensor:
    """The numbers of the classes (B,) of labels in either form."""
    return label if label.ndim == 1 else label.nan_to_num().argmax(dim=1)
