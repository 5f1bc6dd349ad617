"""The training loss of several findings at once, where a positive case may count more than a negative one."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

MOST_WEIGHT = 20.0
"""The most that a positive case counts: of a finding of one film in 500 some lone film would decide every step."""


class FindingLoss(nn.Module):
    """Binary cross-entropy of each finding's logit; a mean over the batch and the findings."""

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss, a scalar.

        Args:
            logits: (B, K).
            label: the truth (B, K), 1 or 0, or with weights of positive cases :func:`weighted_label` (B, 2, K).
        """
        if label.ndim == 2:
            return F.binary_cross_entropy_with_logits(logits, label)
        return F.binary_cross_entropy_with_logits(logits, label[:, 0], pos_weight=label[:, 1])


def weighted_label(truth: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """A label (2, K) of the truth (K,), 1 or 0, and the weights (K,) of the findings' positive cases."""
    return torch.stack([truth, weights])


def positive_weights(truths: Sequence[torch.Tensor]) -> torch.Tensor:
    """The number of negative cases for each positive one, by finding (K,), at most :data:`MOST_WEIGHT`.

    With it the positive and the negative cases of a finding count alike. 1 where no case is positive.

    Args:
        truths: (K,) of each case, at least one.
    """
    positive = torch.stack(list(truths)).sum(dim=0)
    ratio = (len(truths) - positive) / positive.clamp_min(1)
    return torch.where(positive > 0, ratio.clamp_max(MOST_WEIGHT), torch.ones_like(ratio))
