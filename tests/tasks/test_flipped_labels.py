"""Flipped labels: each task's own wrong ones, in the form in which its training set hands labels to the loss."""

import pytest
import torch

from fedmed.core import registry
from fedmed.tasks.base import LabelFlips, Task
from fedmed.tasks.brain_mri import CLASSES, BrainMri
from fedmed.tasks.brats18 import Brats18
from fedmed.tasks.chest_xray import ChestXray
from fedmed.tasks.finding_loss import weighted_label
from fedmed.tasks.hippocampus import Hippocampus
from fedmed.tasks.lgg import Lgg
from fedmed.tasks.restricted_softmax import class_of, restricted_label

MASKS = torch.tensor([0.0, 1.0, 1.0, 0.0])
LACKING = torch.stack([restricted_label(number, frozenset({0, 1}), len(CLASSES)) for number in (0, 1)])
FINDINGS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
WEIGHTED = torch.stack([weighted_label(truth, torch.tensor([3.0, 4.0, 5.0])) for truth in FINDINGS])

CASES: list[tuple[Task, torch.Tensor, torch.Tensor]] = [
    (BrainMri(), torch.tensor([0, 1, 2, 3]), torch.tensor([3, 2, 1, 0])),
    (BrainMri(), LACKING, LACKING.flip(1)),
    (ChestXray(), FINDINGS, 1 - FINDINGS),
    (ChestXray(), WEIGHTED, torch.stack([1 - FINDINGS, WEIGHTED[:, 1]], dim=1)),
    (
        Brats18(),
        MASKS.reshape(1, 1, 2, 2, 1).expand(1, 3, 2, 2, 1),
        1 - MASKS.reshape(1, 1, 2, 2, 1).expand(1, 3, 2, 2, 1),
    ),
    (Lgg(), MASKS.reshape(1, 1, 2, 2), 1 - MASKS.reshape(1, 1, 2, 2)),
    (Hippocampus(), torch.tensor([0, 1, 2, 2], dtype=torch.uint8), torch.tensor([0, 2, 1, 1], dtype=torch.uint8)),
]


@pytest.mark.parametrize(("task", "label", "flipped"), CASES)
def test_a_flip_is_the_tasks_own_keeps_the_type_and_undoes_itself(
    task: Task, label: torch.Tensor, flipped: torch.Tensor
) -> None:
    assert isinstance(task, LabelFlips)
    before = label.clone()
    found = task.flipped_labels(label)
    torch.testing.assert_close(found, flipped, equal_nan=True)
    torch.testing.assert_close(task.flipped_labels(found), label, equal_nan=True)
    torch.testing.assert_close(label, before, equal_nan=True)


def test_every_task_of_the_package_has_one() -> None:
    assert all(hasattr(registry.find("task", name), "flipped_labels") for name in registry.names("task"))


def test_a_site_that_lacks_classes_lacks_the_opposite_ones_when_it_flips() -> None:
    found = BrainMri(missing_class_scale=0.5).flipped_labels(LACKING)
    assert class_of(found).tolist() == [3, 2]
    assert found.isnan()[:, :2].all()
    loss = BrainMri(missing_class_scale=0.5).loss()
    assert torch.isfinite(loss(torch.randn(2, len(CLASSES), generator=torch.Generator().manual_seed(0)), found))
