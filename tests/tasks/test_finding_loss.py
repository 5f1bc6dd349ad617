"""The loss of findings against PyTorch's, and the weights of positive cases by hand."""

import pytest
import torch
from torch.nn import functional as F

from fedmed.tasks.finding_loss import MOST_WEIGHT, FindingLoss, positive_weights, weighted_label

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])
TRUTH = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])


def test_without_weights_it_is_the_usual_cross_entropy_with_logits() -> None:
    assert FindingLoss()(LOGITS, TRUTH) == F.binary_cross_entropy_with_logits(LOGITS, TRUTH)


def test_a_positive_case_counts_as_often_as_its_weight_says() -> None:
    weights = torch.tensor([3.0, 1.0, 0.5])
    label = torch.stack([weighted_label(truth, weights) for truth in TRUTH])
    each = F.binary_cross_entropy_with_logits(LOGITS, TRUTH, reduction="none")
    assert FindingLoss()(LOGITS, label) == pytest.approx((each * torch.where(TRUTH == 1, weights, 1.0)).mean().item())


def test_with_its_weight_the_positive_cases_of_a_finding_count_as_much_as_the_others() -> None:
    truths = [torch.tensor([float(number == 0), float(number % 2), 0.0, 1.0]) for number in range(10)]
    assert positive_weights(truths).tolist() == [9, 1, 1, 0]  # nothing is balanced where no case has a finding


def test_no_film_counts_more_than_the_cap() -> None:
    truths = [torch.tensor([float(number == 0)]) for number in range(500)]
    assert positive_weights(truths).tolist() == [MOST_WEIGHT]
