"""Rounds to near the best, by hand."""

import math

import pytest

from fedmed.analysis.study.learning_speed import best_score, final_score, rounds_to

CURVE = {0: 0.9, 1: 0.2, 2: 0.76, 3: 0.5, 4: 0.8}
"""The untrained model's score, which never counts, is the highest."""


@pytest.mark.parametrize(("target", "rounds"), [(0.76, 2), (0.2, 1), (0.77, 4), (0.81, None), (math.nan, None)])
def test_the_first_round_that_reaches_the_target_counts(target: float, rounds: int | None) -> None:
    assert rounds_to(CURVE, target) == rounds


def test_the_untrained_model_is_neither_best_nor_final() -> None:
    assert (best_score(CURVE), final_score(CURVE)) == (0.8, 0.8)
    assert best_score({**CURVE, 5: 0.1}) == 0.8
    assert final_score({**CURVE, 5: 0.1}) == 0.1
    assert (best_score({0: 0.9}), final_score({0: 0.9}), rounds_to({0: 0.9}, 0.1)) == (None, None, None)
    assert (best_score({}), final_score({})) == (None, None)
