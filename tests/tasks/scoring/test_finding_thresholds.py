"""Thresholds of findings: of the largest F1, against every other one, and none where a class lacks."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from fedmed.tasks.scoring.finding_thresholds import best_threshold, chosen_thresholds
from fedmed.tasks.scoring.multi_label_metrics import finding_rows


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_has_a_larger_f1(seed: int, ties: bool) -> None:
    generator = np.random.default_rng(seed)
    truth = (generator.random(80) < 0.2).astype(float)
    scores = np.clip(generator.normal(0.3 + 0.2 * truth, 0.2), 0, 1)
    scores = scores.round(1) if ties else scores
    found = best_threshold(scores, truth)
    every = [f1_score(truth, scores >= threshold) for threshold in (*scores, 1.1)]
    assert found.f1 == pytest.approx(max(every))
    assert found.threshold is not None
    assert f1_score(truth, scores >= found.threshold) == pytest.approx(found.f1)
    assert (found.positives, found.cases) == (truth.sum(), 80)


def test_a_threshold_lies_between_two_scores() -> None:
    found = best_threshold(np.array([0.9, 0.2, 0.4, 0.1]), np.array([1.0, 0.0, 1.0, 0.0]))
    assert found.threshold == pytest.approx(0.3)
    assert found.f1 == 1


def test_of_equals_the_threshold_of_fewest_decisions_is_taken() -> None:
    """For one case of two, and for all four, F1 is 2 / 3."""
    found = best_threshold(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1.0, 0.0, 0.0, 1.0]))
    assert found.threshold == pytest.approx(0.85)


def test_a_finding_that_no_case_has_or_every_one_has_no_threshold_and_says_why() -> None:
    rows = [*finding_rows("x", ("p", "q", "r"), [0.9, 0.2, 0.5], [1, 0, 1]),
            *finding_rows("y", ("p", "q", "r"), [0.1, 0.3, 0.5], [0, 0, 1])]  # fmt: skip
    found = chosen_thresholds(rows, ("p", "q", "r", "s"))
    assert found["p"].threshold == pytest.approx(0.5)
    assert found["p"].missing == ""
    assert [found[name].threshold for name in "qrs"] == [None] * 3
    assert [found[name].missing for name in "qrs"] == [
        "no case has the finding", "every case has the finding", "no case has the finding"
    ]  # fmt: skip
