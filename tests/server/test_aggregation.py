"""A round's aggregation: in the order of the sites, without the unusable, and with nothing of an earlier round."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from fedmed.algorithms.averaging import weighted_mean
from fedmed.algorithms.base import Algorithm
from fedmed.algorithms.fedavg import FedAvg
from fedmed.core.entries import Entries
from fedmed.server.aggregation import Aggregation, UnusableUpdate

MODEL = {"w": np.zeros((3, 4)), "b": np.zeros(2)}


def begun(max_update_ratio: float = 0.0, algorithm: Algorithm | None = None) -> Aggregation:
    made = Aggregation(
        algorithm or FedAvg(), Entries(tuple(MODEL)), rounds=3, sites=3, max_update_ratio=max_update_ratio
    )
    made.begin(MODEL)
    return made


def add(made: Aggregation, site: str, update: Mapping[str, Any] | None = None, steps: Any = 2) -> None:
    made.add(site, {n: v + 1 for n, v in MODEL.items()} if update is None else update, steps, None, {})


def uneven(number: int) -> dict[str, np.ndarray]:
    """Values of very different size, whose sum depends on the order in its last bits."""
    rng = np.random.default_rng(number)
    return {name: rng.normal(size=v.shape) * 10.0 ** rng.integers(-8, 8, v.shape) for name, v in MODEL.items()}


def test_the_sum_does_not_depend_on_who_came_first() -> None:
    found = set()
    for order in itertools.permutations([1, 2, 3, 4]):
        made = begun()
        for number in order:
            add(made, f"site-{number}", uneven(number), steps=number)
        combined = made.combined()
        found.add(b"".join(combined[name].tobytes() for name in sorted(combined)))
    assert len(found) == 1
    orders = itertools.permutations([1, 2, 3, 4])  # in another order the bits are others, so that this can fail
    plain = {weighted_mean([uneven(n) for n in order], order)["w"].tobytes() for order in orders}
    assert len(plain) > 1


def test_updates_weigh_by_their_steps() -> None:
    made = begun()
    add(made, "site-1", {name: v + 1 for name, v in MODEL.items()}, steps=3)
    add(made, "site-2", {name: v + 5 for name, v in MODEL.items()}, steps=1)
    combined = made.combined()
    assert set(combined) == set(MODEL)
    assert (combined["w"] == 2).all()


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ({**MODEL, "w": np.full((3, 4), np.nan)}, "w holds 12"),
        ({**MODEL, "w": np.full((3, 4), np.inf)}, "w holds 12"),
        ({**MODEL, "w": np.zeros((4, 3))}, "shape"),
        ({"w": MODEL["w"]}, "missing"),
        ({**MODEL, "x": MODEL["w"]}, "unknown"),
        ({**MODEL, "w": np.zeros((3, 4), np.int64)}, "w is of type int64; expected floats"),
        ({**MODEL, "w": np.zeros((3, 4), np.complex128)}, "w is of type complex128; expected numbers"),
    ],
)
def test_an_unusable_update_is_refused_with_its_site(update: dict[str, np.ndarray], said: str) -> None:
    made = begun()
    with pytest.raises(UnusableUpdate, match=rf"site-7 is refused: .*{said}"):
        add(made, "site-7", update)
    assert said in made.refused["site-7"]
    assert made.usable == 0


@pytest.mark.parametrize("steps", [0, -1, True, math.nan, math.inf, None, "2"])
def test_steps_that_are_no_weight_are_refused(steps: Any) -> None:
    made = begun()
    with pytest.raises(UnusableUpdate, match=r"site-7.*steps"):
        add(made, "site-7", steps=steps)
    assert made.usable == 0


def test_a_refused_update_leaves_the_others_as_they_are() -> None:
    made = begun()
    add(made, "site-1", uneven(1))
    with pytest.raises(UnusableUpdate, match="site-2"):
        add(made, "site-2", {**MODEL, "w": np.full((3, 4), np.nan)}, steps=100)
    assert np.array_equal(made.combined()["w"], uneven(1)["w"])
    assert set(made.refused) == {"site-2"}


def test_a_round_without_a_usable_update_ends_the_job_and_says_why() -> None:
    made = begun()
    for site in ("site-1", "site-2"):
        with pytest.raises(UnusableUpdate, match=site):
            add(made, site, {**MODEL, "w": np.full((3, 4), np.nan)})
    with pytest.raises(RuntimeError, match=r"site-1: w holds 12.*site-2: w holds 12.*stays as it was"):
        made.combined()


def test_nothing_of_a_round_is_left_in_the_next() -> None:
    made = begun()
    add(made, "site-1", uneven(1), steps=50)
    with pytest.raises(UnusableUpdate, match="site-3"):
        add(made, "site-3", steps=0)
    made.combined()
    made.begin(MODEL)
    assert not made.refused
    with pytest.raises(RuntimeError):
        made.combined()
    add(made, "site-2", uneven(2))
    assert np.array_equal(made.combined()["w"], uneven(2)["w"])


def test_an_abandoned_round_leaves_nothing_either() -> None:
    made = begun()
    add(made, "site-1", uneven(1), steps=50)
    made.begin({})  # the model is that of the abandoned round
    add(made, "site-2", uneven(2))
    assert np.array_equal(made.combined()["w"], uneven(2)["w"])


def scaled(made: Aggregation, sites: Mapping[str, float]) -> None:
    for site, factor in sites.items():
        add(made, site, {name: v + factor for name, v in MODEL.items()})


def test_an_update_that_is_far_larger_than_the_others_is_refused_whoever_comes_first() -> None:
    sites = {"site-1": 1.0, "site-2": 3000.0, "site-3": 3.0}
    for order in itertools.permutations(sites):
        made = begun(max_update_ratio=100)
        scaled(made, {site: sites[site] for site in order})
        made.refuse_oversized()
        assert set(made.refused) == {"site-2"}
        assert "times the median" in made.refused["site-2"]
        assert (made.combined()["w"] == 2).all()


@pytest.mark.parametrize("ratio", [0.0, 5000.0])
def test_without_a_limit_or_below_it_every_update_counts(ratio: float) -> None:
    made = begun(ratio)
    scaled(made, {"site-1": 1.0, "site-2": 3000.0})
    made.refuse_oversized()
    assert made.refused == {}
    assert made.usable == 2


def test_a_round_without_any_update_has_none_that_is_too_large() -> None:
    made = begun(max_update_ratio=100)
    made.refuse_oversized()
    assert made.refused == {}
