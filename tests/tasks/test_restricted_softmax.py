"""The restricted softmax: the usual cross-entropy where no class is missing, and weaker pushes at classes that are."""

import pytest
import torch
from torch.nn import functional as F

from fedmed.tasks.classification import share_of_right_classes, with_restricted_labels
from fedmed.tasks.restricted_softmax import RestrictedCrossEntropy, class_of, restricted_label

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.3, -0.2]])
NUMBERS = torch.tensor([0, 1])
LABELS = torch.stack([restricted_label(number, frozenset({0, 1}), 3) for number in (0, 1)])


def gradient(loss: RestrictedCrossEntropy, label: torch.Tensor) -> torch.Tensor:
    logits = LOGITS.clone().requires_grad_()
    loss(logits, label).backward()
    assert logits.grad is not None
    return logits.grad


def test_numbers_of_classes_get_the_usual_cross_entropy_whatever_the_scale() -> None:
    for scale in (0.0, 0.5, 1.0):
        found = RestrictedCrossEntropy(scale)(LOGITS, NUMBERS)
        assert torch.equal(found, F.cross_entropy(LOGITS, NUMBERS))


def test_a_scale_of_1_is_the_usual_cross_entropy() -> None:
    assert torch.allclose(RestrictedCrossEntropy(1.0)(LOGITS, LABELS), F.cross_entropy(LOGITS, NUMBERS))


@pytest.mark.parametrize("scale", [0.0, 0.3])
def test_the_logit_of_a_missing_class_enters_scaled(scale: float) -> None:
    by_hand = -torch.log_softmax(torch.tensor([[2.0, -1.0, 0.5 * scale], [0.1, 0.3, -0.2 * scale]]), dim=1)
    expected = (by_hand[0, 0] + by_hand[1, 1]) / 2
    assert float(RestrictedCrossEntropy(scale)(LOGITS, LABELS)) == pytest.approx(float(expected))


def test_a_missing_class_is_pushed_less_and_at_0_not_at_all() -> None:
    pushed = [gradient(RestrictedCrossEntropy(scale), LABELS)[:, 2].abs().sum() for scale in (0.0, 0.5, 1.0)]
    assert pushed[0] == 0
    assert pushed[0] < pushed[1] < pushed[2]


def test_labels_tell_the_missing_classes_and_keep_the_class() -> None:
    items = [{"label": 2, "case": "a"}, {"label": 0, "case": "b"}]
    made = [item["label"] for item in with_restricted_labels(items, 4)]
    assert [label.isnan().tolist() for label in made] == [[False, True, False, True]] * 2
    assert class_of(torch.stack(made)).tolist() == [2, 0]
    whole = [{"label": number} for number in range(4)]
    assert with_restricted_labels(whole, 4) == whole


def test_the_share_of_right_classes_is_that_of_either_form() -> None:
    assert float(share_of_right_classes(LOGITS, NUMBERS)) == float(share_of_right_classes(LOGITS, LABELS)) == 1
    assert float(share_of_right_classes(LOGITS.flip(1), LABELS)) == 0.5
