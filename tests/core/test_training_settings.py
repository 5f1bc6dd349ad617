"""Who trains in a round and how often models are scored: values that cannot be meant are refused by name."""

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


@pytest.mark.parametrize(("given", "kept", "passes"), [(2, 2, 2), (3.0, 3, 3), (0.25, 0.25, 1)])
def test_a_round_has_whole_epochs_or_a_share_of_one(given: float, kept: float, passes: int) -> None:
    training = Training(aggregation_epochs=given)
    assert (training.aggregation_epochs, training.passes) == (kept, passes)
    assert isinstance(training.aggregation_epochs, type(kept))


@pytest.mark.parametrize("given", [1.5, 0.0, -0.5, 1e-9, 20_000, float("inf"), float("nan")])
def test_no_other_number_of_epochs_can_be_meant(given: float) -> None:
    with pytest.raises(InputError, match=r"--aggregation_epochs is .*; expected a whole number from 1 to 10000, or a"):
        Training(aggregation_epochs=given)
