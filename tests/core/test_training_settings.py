"""Who trains, how often models are scored, the learning rate's course: what cannot be meant is refused by name."""

from collections.abc import Mapping
from typing import Any

import pytest

from fedmed.core.errors import InputError
from fedmed.core.settings import Training


@pytest.mark.parametrize("count", [1, 2, 4, None])
def test_some_or_all_sites_may_train_in_a_round(count: int | None) -> None:
    assert Training(n_clients=4, sites_per_round=count).sites_per_round == count


@pytest.mark.parametrize("count", [0, -1, 5])
def test_neither_none_nor_more_sites_than_there_are(count: int) -> None:
    with pytest.raises(InputError, match=f"--sites_per_round is {count}; expected 1 to 4, the number of sites"):
        Training(n_clients=4, sites_per_round=count)


@pytest.mark.parametrize("rounds", [0, -3])
def test_models_are_scored_every_whole_number_of_rounds(rounds: int) -> None:
    assert Training(validate_every=7).validate_every == 7
    with pytest.raises(InputError, match=f"--validate_every is {rounds}"):
        Training(validate_every=rounds)


@pytest.mark.parametrize("changed", [{}, {"running_statistics": "trained"}], ids=["beyond", "not measured"])
def test_statistics_are_fixed_within_the_run_where_they_are_measured(changed: Mapping[str, Any]) -> None:
    assert Training(num_rounds=4, fix_statistics_after=4).fix_statistics_after == 4
    with pytest.raises(
        InputError, match=r"--fix_statistics_after is \d; expected 1 to 4, .* --running_statistics meas"
    ):
        Training(num_rounds=4, fix_statistics_after=4 if changed else 5, **changed)


@pytest.mark.parametrize(("given", "kept", "passes"), [(2, 2, 2), (3.0, 3, 3), (0.25, 0.25, 1)])
def test_a_round_has_whole_epochs_or_a_share_of_one(given: float, kept: float, passes: int) -> None:
    training = Training(aggregation_epochs=given)
    assert (training.aggregation_epochs, training.passes) == (kept, passes)
    assert isinstance(training.aggregation_epochs, type(kept))


@pytest.mark.parametrize("given", [1.5, 0.0, -0.5, 1e-9, 20_000, float("inf"), float("nan")])
def test_no_other_number_of_epochs_can_be_meant(given: float) -> None:
    with pytest.raises(InputError, match=r"--aggregation_epochs is .*; expected a whole number from 1 to 10000, or a"):
        Training(aggregation_epochs=given)


@pytest.mark.parametrize("rounds", [-1, 11])
def test_a_warmup_is_no_longer_than_the_run(rounds: int) -> None:
    assert Training(num_rounds=10, warmup_rounds=10).rates_vary
    with pytest.raises(InputError, match=f"--warmup_rounds is {rounds}; expected 0 to 10, the number of rounds"):
        Training(num_rounds=10, warmup_rounds=rounds)


def test_a_plateau_has_patience_and_no_other_schedule_has() -> None:
    assert Training(schedule="plateau").patience_of_plateau == 5
    assert Training(schedule="plateau", patience=0).patience_of_plateau == 0
    with pytest.raises(InputError, match="--patience is 3; expected none where --schedule is not plateau"):
        Training(schedule="cosine", patience=3)
    with pytest.raises(InputError, match="--patience is -1; expected a whole number from 0"):
        Training(schedule="plateau", patience=-1)


def test_a_plateau_needs_a_score_that_comes_before_the_last_round() -> None:
    assert Training(num_rounds=10, validate_every=8, schedule="plateau").rates_vary
    assert Training(num_rounds=1, schedule="plateau").rates_vary  # too short for any schedule
    with pytest.raises(InputError, match="--validate_every is 9; expected scores before the run's end"):
        Training(num_rounds=10, validate_every=9, schedule="plateau")
    assert Training(num_rounds=10, validate_every=9, schedule="cosine").rates_vary
