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
