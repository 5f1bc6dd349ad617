"""What a round does about faults: values that are none are refused, and a run knows whether it can spare a site."""

import dataclasses
import math

import pytest

from fedmed.core.errors import InputError
from fedmed.core.settings import Faults


def test_by_default_no_site_can_be_spared() -> None:
    assert not any(Faults().spares(sites) for sites in (1, 2, 100))
    assert not any(Faults(min_clients=sites).spares(sites) for sites in (1, 2, 100))


def test_a_site_can_be_spared_where_fewer_are_enough() -> None:
    assert Faults(min_clients=1).spares(2)
    assert Faults(min_clients=99).spares(100)


@pytest.mark.parametrize("sites", [1, 2, 5])
def test_more_sites_than_there_are_cannot_be_enough(sites: int) -> None:
    Faults(min_clients=sites).check_sites(sites)
    Faults().check_sites(sites)
    with pytest.raises(InputError, match=f"--min_clients is {sites + 1}; expected at most the {sites} sites"):
        Faults(min_clients=sites + 1).check_sites(sites)


def test_more_sites_than_train_in_a_round_cannot_be_enough_either() -> None:
    Faults(min_clients=2).check_sites(5, sites_per_round=2)
    with pytest.raises(InputError, match="--min_clients is 3; expected at most the 2 sites that train in a round"):
        Faults(min_clients=3).check_sites(5, sites_per_round=2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_clients", 0),
        ("min_clients", -1),
        ("round_timeout", 0),
        ("round_timeout", -5),
        ("site_silence", 0.5),
        ("site_silence", 86_400.0),
        ("site_silence", math.nan),
        ("max_update_ratio", 1.0),
        ("max_weight_ratio", 0.5),
        ("max_weight_ratio", -1.0),
        ("max_weight_ratio", math.inf),
        ("max_weight_ratio", math.nan),
        ("max_update_ratio", -1.0),
        ("max_update_ratio", math.inf),
        ("max_update_ratio", math.nan),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"--{name} is "):
        dataclasses.replace(Faults(), **{name: value})


@pytest.mark.parametrize(("name", "value"), [("site_silence", 1.0), ("max_update_ratio", 0.0), ("round_timeout", 1)])
def test_a_value_at_the_edge_is_accepted(name: str, value: float) -> None:
    assert getattr(dataclasses.replace(Faults(), **{name: value}), name) == value


def test_several_heartbeats_may_get_lost_before_a_site_counts_as_lost() -> None:
    assert Faults(site_silence=60.0).heartbeat_every_s == 10.0
