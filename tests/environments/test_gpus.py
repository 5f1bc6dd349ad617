"""GPU numbers: read strictly, checked against the machine, dealt so that every site keeps its process."""

import pytest

from fedmed.core.errors import InputError
from fedmed.environments.gpus import check_ids, parse_ids, simulator_groups


@pytest.mark.parametrize(("text", "ids"), [("0", [0]), ("0,1,2,3", [0, 1, 2, 3]), (" 2, 0 ", [2, 0]), ("10", [10])])
def test_numbers_are_read_in_their_order(text: str, ids: list[int]) -> None:
    assert parse_ids(text) == ids


@pytest.mark.parametrize("text", ["", ",", "0,", "0,,1", "a", "0;1", "-1", "1.0", "0 1", "[0]", "cuda:0"])
def test_what_is_no_list_of_numbers_is_refused_and_shown(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_ids(text)
    assert f"--gpu is {text!r};" in str(caught.value)


def test_an_absent_gpu_is_named() -> None:
    check_ids([0, 1], present=2, sites=2)
    with pytest.raises(InputError, match=r"GPU 2, 5, but this machine has 2 \(0 to 1\)"):
        check_ids([5, 0, 2, 2], present=2, sites=4)


def test_a_machine_without_gpus_accepts_any() -> None:
    check_ids([0, 7], present=0, sites=2)


def test_more_gpus_than_sites_would_do_nothing() -> None:
    with pytest.raises(InputError, match="--gpu names 3 GPUs for 2 sites"):
        check_ids([0, 1, 0], present=2, sites=2)


@pytest.mark.parametrize(
    ("ids", "at_once", "groups"),
    [([0], 4, "0,0,0,0"), ([0, 1, 2, 3], 4, "0,1,2,3"), ([3, 1], 3, "3,1,3"), ([0, 1], 1, "0")],
)
def test_there_is_a_group_for_each_site_that_lives_at_once(ids: list[int], at_once: int, groups: str) -> None:
    assert simulator_groups(ids, at_once) == groups
