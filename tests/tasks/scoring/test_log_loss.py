"""Cross-entropy from rows: scikit-learn's, PyTorch's of the same logits, and that of draws of the cases."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss as sklearn_log_loss

from fedmed.tasks.scoring.classification_metrics import class_rows
from fedmed.tasks.scoring.log_loss import LOG_LOSS, log_loss
from fedmed.tasks.scoring.metric import Row

CLASSES = ("a", "b", "c")


def cases(number: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (N, 3) and classes (N,)."""
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(number, 3, generator=generator), torch.randint(3, (number,), generator=generator)


def rows_of(logits: torch.Tensor, truth: torch.Tensor) -> list[Row]:
    scored = zip(logits.softmax(dim=1).tolist(), truth.tolist(), strict=True)
    return [row for n, (scores, number) in enumerate(scored) for row in class_rows(f"{n}", CLASSES, scores, number)]


def test_it_is_the_loss_of_training_over_the_cases() -> None:
    logits, truth = cases()
    found = LOG_LOSS.reduce(rows_of(logits, truth))
    assert found == pytest.approx(float(torch.nn.CrossEntropyLoss()(logits, truth)), rel=1e-5)
    assert found == pytest.approx(sklearn_log_loss(truth, logits.softmax(dim=1).double(), labels=[0, 1, 2]), rel=1e-5)


def test_it_is_reported_with_its_number_of_cases_and_within_its_form() -> None:
    report = LOG_LOSS.report(LOG_LOSS.read(rows_of(*cases())))
    assert set(report) == {"val_loss", "val_loss_values"}
    assert report["val_loss_values"] == 20
    assert LOG_LOSS.form(CLASSES).holds(report["val_loss"])


def test_a_truth_of_probability_zero_has_the_largest_loss_and_no_infinite_one() -> None:
    rows = class_rows("x", CLASSES, [1.0, 0.0, 0.0], 1)
    assert log_loss(rows) == pytest.approx(36.04, abs=0.01)
    assert LOG_LOSS.form(CLASSES).holds(log_loss(rows))
    assert log_loss(class_rows("x", CLASSES, [1.0, 0.0, 0.0], 0)) == 0


def test_of_no_case_there_is_none() -> None:
    assert math.isnan(log_loss([]))
    assert LOG_LOSS.report([]) == {}


def test_a_draw_of_cases_has_the_loss_of_those_that_were_drawn() -> None:
    logits, truth = cases(6)
    rows = LOG_LOSS.read(rows_of(logits, truth))
    counts = np.array([[1, 1, 1, 1, 1, 1], [2, 0, 0, 1, 0, 3], [0, 0, 0, 0, 0, 0]], float)
    owners = [int(row.case) for row in rows]
    assert LOG_LOSS.weighted is not None
    found = LOG_LOSS.weighted(rows)(counts[:, owners])
    repeated = torch.tensor([0, 0, 3, 5, 5, 5])
    assert found[0] == pytest.approx(log_loss(rows))
    assert found[1] == pytest.approx(log_loss(rows_of(logits[repeated], truth[repeated])))
    assert math.isnan(found[2])
