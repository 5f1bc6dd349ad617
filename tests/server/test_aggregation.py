"""A round's aggregation: in the order of the sites, without the unusable, and with nothing of an earlier round."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from fedmed.algorithms.averaging import weighted_mean
from fedmed.algorithms.base import Algorithm, Contribution, ServerSetup, ServerSide
from fedmed.algorithms.fedavg import FedAvg
from fedmed.algorithms.krum import Krum
from fedmed.algorithms.median import Median
from fedmed.algorithms.trimmed_mean import TrimmedMean
from fedmed.command_line import read_experiment
from fedmed.core.entries import Entries
from fedmed.core.weights import Update
from fedmed.server.aggregation import Aggregation, UnusableUpdate
from fedmed.server.plan import ServerPlan
from fedmed.server.quorum import NO_ROUND, RoundFailed

MODEL = {"w": np.zeros((3, 4)), "b": np.zeros(2)}


def begun(
    max_update_ratio: float = 0.0, algorithm: Algorithm | None = None, max_weight_ratio: float = 0.0
) -> Aggregation:
    entries = Entries(tuple(MODEL))
    made = Aggregation(algorithm or FedAvg(), entries, 3, 3, max_update_ratio, max_weight_ratio)
    made.begin(MODEL)
    return made


def add(
    made: Aggregation, site: str, update: Mapping[str, Any] | None = None, steps: Any = 2, cases: Any = None
) -> None:
    made.add(site, {n: v + 1 for n, v in MODEL.items()} if update is None else update, steps, cases, {})


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


def test_a_job_at_the_server_weighs_sites_as_the_experiment_says() -> None:
    experiment = read_experiment(["--task", "hippocampus", "--aggregation_weights", "uniform"])
    assert ServerPlan.of(experiment, Entries(tuple(MODEL))).plain()["aggregation_weights"] == "uniform"
    made = Aggregation(FedAvg(), Entries(tuple(MODEL)), 3, 3, weights="uniform")
    made.begin(MODEL)
    add(made, "site-1", {name: v + 1 for name, v in MODEL.items()}, steps=3)
    add(made, "site-2", {name: v + 5 for name, v in MODEL.items()}, steps=1)
    assert all((values == 3).all() for values in made.combined().values())


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
        ({**MODEL, "w": np.zeros((3, 4), np.int8)}, "w is of type int8; expected floats"),
        ({**MODEL, "w": np.zeros((3, 4), np.complex128)}, "w is of type complex128; expected floats"),
    ],
)
def test_an_unusable_update_is_refused_with_its_site(update: dict[str, np.ndarray], said: str) -> None:
    made = begun()
    with pytest.raises(UnusableUpdate, match=rf"site-7 is refused: .*{said}"):
        add(made, "site-7", update)
    assert said in made.refused["site-7"]
    assert made.usable == 0


@pytest.mark.parametrize("steps", [0, -1, True, 2.0, math.nan, math.inf, 1e308, 2**53 + 1, 10**400, None, "2"])
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
        made.settle()
        assert set(made.refused) == {"site-2"}
        assert "times the median" in made.refused["site-2"]
        assert (made.combined()["w"] == 2).all()


@pytest.mark.parametrize("ratio", [0.0, 5000.0])
def test_without_a_limit_or_below_it_every_update_counts(ratio: float) -> None:
    made = begun(ratio)
    scaled(made, {"site-1": 1.0, "site-2": 3000.0})
    made.settle()
    assert made.refused == {}
    assert made.usable == 2


def test_a_round_without_any_update_has_none_that_is_too_large() -> None:
    made = begun(max_update_ratio=100)
    made.settle()
    assert made.refused == {}


# what a site says of its own size


@pytest.mark.parametrize("cases", [0, -1, True, 2.5, "many", math.nan, 2**53 + 1])
def test_cases_that_are_no_number_of_things_are_refused(cases: Any) -> None:
    made = begun()
    with pytest.raises(UnusableUpdate, match=r"site-7.*training cases; expected a whole number"):
        add(made, "site-7", cases=cases)
    assert made.usable == 0


@pytest.mark.parametrize(("steps", "cases"), [(3, 8), (2, 9), (2, None), (1, 8)])
def test_steps_and_cases_do_not_change_from_round_to_round(steps: int, cases: int | None) -> None:
    made = begun()
    add(made, "site-1", steps=2, cases=8)
    made.begin(MODEL)
    with pytest.raises(
        UnusableUpdate, match=rf"states {steps} steps and {cases} cases and stated 2 and 8; expected no"
    ):
        add(made, "site-1", steps=steps, cases=cases)
    made.begin(MODEL)
    add(made, "site-1", steps=2, cases=8)
    assert made.usable == 1


def test_a_site_counts_as_at_most_so_many_times_the_others_whatever_it_states() -> None:
    made = begun(max_weight_ratio=10)
    for site, value, steps in (("site-1", 0.0, 20), ("site-2", 0.0, 20), ("site-3", 1.0, 10**9)):
        add(made, site, {name: v + value for name, v in MODEL.items()}, steps)
    made.settle()
    assert made.steps == {"site-1": 20, "site-2": 20, "site-3": 200}
    assert "its 1000000000 steps count as 200, 10 times the others'" in made.capped["site-3"]
    assert made.capped.keys() == {"site-3"}
    assert made.combined()["w"] == pytest.approx(np.full((3, 4), 200 / 240))


@pytest.mark.parametrize("steps", [20, 10**6, 10**9])
def test_no_number_of_steps_makes_room_for_an_update_a_million_times_too_large(steps: int) -> None:
    made = begun(max_update_ratio=100, max_weight_ratio=10)
    for site, value, own in (("site-1", 1.0, 20), ("site-2", 1.0, 20), ("site-3", 1e6, steps)):
        add(made, site, {name: v + value for name, v in MODEL.items()}, own)
    made.settle()
    assert made.refused.keys() == {"site-3"}
    assert (made.combined()["w"] == 1).all()


@pytest.mark.parametrize("liars", [1, 2])
def test_fewer_liars_than_honest_sites_never_have_more_than_their_bounded_share(liars: int) -> None:
    honest, ratio = 3, 10
    made = begun(max_weight_ratio=ratio)
    for number in range(honest):
        add(made, f"honest-{number}", {name: v + 1 for name, v in MODEL.items()}, 20)
    for number in range(liars):
        add(made, f"liar-{number}", MODEL, 2**53)
    made.settle()
    assert (made.combined()["w"] >= honest / (honest + ratio * liars) - 1e-12).all()


def test_honest_sites_of_very_different_size_all_take_part_and_the_smallest_is_not_lost() -> None:
    made = begun(max_update_ratio=100, max_weight_ratio=10)
    for site, cases in (("small", 4), ("middle", 60), ("large", 400)):
        add(made, site, {name: v + cases for name, v in MODEL.items()}, cases, cases)
    made.settle()
    assert (made.refused, made.usable) == ({}, 3)
    assert made.steps == {"small": 4, "middle": 60, "large": 320}  # 10 times the mean of 4 and 60


@pytest.mark.parametrize(("sites", "counted"), [({"a": 500}, {"a": 500}), ({"a": 500, "b": 4}, {"a": 40, "b": 4})])
def test_one_site_counts_in_full_and_of_two_the_other_is_the_measure(
    sites: dict[str, int], counted: dict[str, float]
) -> None:
    made = begun(max_weight_ratio=10)
    for site, steps in sites.items():
        add(made, site, steps=steps)
    made.settle()
    assert made.steps == counted


# the types in which all is computed


@pytest.mark.parametrize("precision", [np.float16, np.float64])
def test_the_first_sites_precision_decides_nothing(precision: type) -> None:
    model = {name: values.astype(np.float32) for name, values in MODEL.items()}
    made = Aggregation(FedAvg(), Entries(tuple(model)), 3, 2)
    made.begin(model)
    fine = np.float32(1 + 2**-20)  # which half precision does not have
    made.add("site-1", {name: np.ones(v.shape, precision) for name, v in model.items()}, 1, None, {})
    made.add("site-2", {name: np.full(v.shape, fine) for name, v in model.items()}, 3, None, {})
    combined = made.combined()
    assert {values.dtype for values in combined.values()} == {np.dtype(np.float32)}
    assert (combined["w"] == np.float32((1 + 3 * float(fine)) / 4)).all()


class Echo(FedAvg):
    """Hands back the extras that it is given."""

    def server(self, setup: ServerSetup) -> ServerSide:
        return EchoSide(setup)


class EchoSide(ServerSide):
    def expected_extras(self) -> Mapping[str, tuple[int, ...]]:
        return {"control": (2,)}

    def combine(self, contributions: Sequence[Contribution]) -> Update:
        self.seen = [each.extras["control"] for each in contributions]
        return super().combine(contributions)


@pytest.mark.parametrize("precision", [np.float16, np.float64])
def test_extras_reach_the_algorithm_in_the_models_type(precision: type) -> None:
    model = {name: values.astype(np.float32) for name, values in MODEL.items()}
    made = Aggregation(Echo(), Entries(tuple(model)), 3, 2)
    made.begin(model)
    made.add("site-1", model, 1, None, {"control": np.ones(2, precision)})
    with pytest.raises(UnusableUpdate, match="beside, control is of type complex128"):
        made.add("site-2", model, 1, None, {"control": np.ones(2, complex)})
    made.combined()
    assert isinstance(made.side, EchoSide)
    assert [each.dtype for each in made.side.seen] == [np.float32]


# rules that judge single updates, and attacks on them


@pytest.mark.parametrize(("rule", "least"), [(Median(), 3), (TrimmedMean(), 3), (Krum(byzantine=0), 3)])
def test_a_round_of_fewer_updates_than_a_rule_needs_is_none(rule: Algorithm, least: int) -> None:
    made = begun(algorithm=rule)
    for number in range(1, least):
        add(made, f"site-{number}", uneven(number))
    with pytest.raises(UnusableUpdate):
        add(made, "site-9", {**MODEL, "w": np.full((3, 4), np.nan)})
    with pytest.raises(
        RoundFailed,
        match=rf"^{NO_ROUND} --algorithm {rule.name} needs {least} .* and has {least - 1} \(site-9: w holds",
    ):
        made.combined()


def test_a_forged_update_takes_the_place_of_the_sites_own_after_all_guards() -> None:
    made = begun(max_update_ratio=2.0)
    for site in ("site-1", "site-2", "site-3"):
        add(made, site, {name: values + 1.0 for name, values in MODEL.items()})
    made.settle()
    seen = list[str]()

    def forge(contributions: Sequence[Contribution]) -> dict[str, Update]:
        seen.extend(each.site for each in contributions)
        return {"site-2": {name: values - 3e6 for name, values in MODEL.items()}}

    found = made.combined(forge)
    assert seen == ["site-1", "site-2", "site-3"]
    assert made.refused == {}
    np.testing.assert_allclose(found["w"], (2 - 3e6) / 3)


def test_the_shares_are_those_of_the_last_round_alone() -> None:
    made = begun(algorithm=Median())
    assert made.counted == {}
    for number in range(1, 4):
        add(made, f"site-{number}", uneven(number))
    made.combined()
    assert set(made.counted) == {"site-1", "site-2", "site-3"}
    made.begin(MODEL)
    assert made.counted == {}
