"""An epoch's figures: the loss over its steps, the task's figures over its cases."""

from typing import Any

import pytest
import torch

from fedmed.site.epoch_figures import Step, epoch_figures


def step(loss: float, cases: int, **figures: Any) -> Step:
    return Step(torch.tensor(loss), figures, cases)


def test_the_loss_is_the_mean_of_the_steps_and_accuracy_that_of_the_cases() -> None:
    """Of 4, 4 and 1 cases 1, 2 and 1 are right: 4 of 9."""
    steps = [step(3.0, 4, accuracy=0.25), step(2.0, 4, accuracy=0.5), step(1.0, 1, accuracy=1.0)]
    assert epoch_figures(steps) == {"train_loss": 2.0, "train_accuracy": pytest.approx(4 / 9)}


def test_tensors_and_numbers_are_the_same_and_a_task_may_have_none() -> None:
    steps = [step(1.0, 2, accuracy=torch.tensor(0.5)), step(1.0, 6, accuracy=torch.tensor(0.0))]
    assert epoch_figures(steps)["train_accuracy"] == pytest.approx(1 / 8)
    assert epoch_figures([step(0.5, 4)]) == {"train_loss": 0.5}
