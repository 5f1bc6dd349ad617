"""The learning rate over the rounds: known values of each schedule, and the rule of the plateau by hand."""

import math

import pytest

from fedmed.server.rate_schedule import RateSchedule


def factors(schedule: RateSchedule, rounds: int) -> list[float]:
    return [schedule.factor(done) for done in range(rounds)]


def following(scores: list[float | None], patience: int, warmup: int = 0) -> list[float]:
    """The factor of each round; the n-th score, from 0, is that of the model after n rounds, and may be missing."""
    schedule, found = RateSchedule("plateau", len(scores) + 1, warmup, patience), []
    for done, score in enumerate(scores):
        found.append(schedule.factor(done))  # the round in which this score is made
        if score is not None:
            schedule.take(done, score)
    return [*found, schedule.factor(len(scores))]


def test_constant_is_the_full_rate_in_all_rounds() -> None:
    assert factors(RateSchedule("constant", 4), 4) == [1.0] * 4
    assert not RateSchedule("constant", 4).varies


def test_a_cosine_begins_at_the_full_rate_is_half_in_the_middle_and_never_0() -> None:
    found = factors(RateSchedule("cosine", 4), 4)
    assert found == pytest.approx([1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2])
    assert factors(RateSchedule("cosine", 1), 1) == [1.0]
    assert 0 < RateSchedule("cosine", 1_000_000).factor(999_999) < 1e-9


@pytest.mark.parametrize("kind", ["constant", "cosine", "plateau"])
def test_the_rate_rises_in_equal_steps_and_the_schedule_begins_at_its_full_height(kind: str) -> None:
    schedule = RateSchedule(kind, 10, warmup_rounds=3, patience=2)
    assert factors(schedule, 4) == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert schedule.varies


def test_a_warmup_may_be_as_long_as_the_run() -> None:
    assert factors(RateSchedule("cosine", 3, warmup_rounds=3), 3) == pytest.approx([0.25, 0.5, 0.75])


def test_a_plateau_halves_the_rate_after_more_scores_than_its_patience_without_a_better_one() -> None:
    scores: list[float | None] = [0.9, 0.5, 0.6, 0.6, 0.55, 0.6, 0.58, 0.59, 0.3]
    #        round trained:       1    2    3    4    5     6    7     8     9    10; the untrained model is no measure
    assert following(scores, patience=2) == [1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_a_better_score_begins_anew_and_one_that_is_hardly_better_is_none() -> None:
    assert following([None, 0.5, 0.5, 0.6, 0.6], patience=1) == [1] * 6
    assert following([None, 0.5, 0.50005, 0.50009], patience=1)[-1] == 0.5
    assert following([None, 0.5, 0.5002, 0.5004], patience=1)[-1] == 1


def test_a_plateau_waits_where_there_is_no_score() -> None:
    assert following([None, 0.5, None, 0.5, None, None, 0.5], patience=1) == [1, 1, 1, 1, 1, 1, 1, 0.5]


def test_scores_of_the_warmup_are_no_measure() -> None:
    assert following([0.1, 0.9, 0.9, 0.5, 0.5, 0.5], patience=1, warmup=2) == pytest.approx(
        [1 / 3, 2 / 3, 1, 1, 1, 1, 0.5]
    )


def test_a_plateau_never_ends_at_0() -> None:
    assert following([0.5] * 200, patience=0)[-1] > 0
