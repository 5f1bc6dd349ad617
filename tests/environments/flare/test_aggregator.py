"""The aggregator: sums in site order, refuses the unusable by name, and remembers nothing of an earlier round."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from nvflare.apis.fl_constant import FLMetaKey
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType

from fedmed.algorithms.averaging import weighted_mean
from fedmed.core.entries import Entries
from fedmed.core.names import EXTRAS
from fedmed.environments.flare.aggregator import GuardedAggregator

GLOBAL = {"w": np.zeros((3, 4)), "b": np.zeros(2)}
STEPS = FLMetaKey.NUM_STEPS_CURRENT_ROUND


ENTRIES = Entries(("w", "b")).plain()


def aggregator(max_update_ratio: float = 0.0, algorithm: dict[str, Any] | None = None) -> GuardedAggregator:
    made = GuardedAggregator(algorithm or {"name": "fedavg"}, ENTRIES, 3, 3, max_update_ratio)
    made.aggregation.begin(GLOBAL)
    return made


def answer(
    site: str, params: dict[str, Any] | None = None, steps: Any = 2, kind: ParamsType = ParamsType.DIFF
) -> FLModel:
    params = {name: np.ones_like(values) for name, values in GLOBAL.items()} if params is None else params
    return FLModel(params_type=kind, params=params, meta={"client_name": site, STEPS: steps})


def uneven(number: int) -> dict[str, np.ndarray]:
    """Values of very different size, whose sum depends on the order in its last bits."""
    rng = np.random.default_rng(number)
    return {name: rng.normal(size=v.shape) * 10.0 ** rng.integers(-8, 8, v.shape) for name, v in GLOBAL.items()}


def test_the_sum_does_not_depend_on_who_came_first() -> None:
    answers = [answer(f"site-{n}", uneven(n), steps=n) for n in (1, 2, 3, 4)]
    found = set()
    for order in itertools.permutations(answers):
        made = aggregator()
        for model in order:
            made.accept_model(model)
        combined = made.aggregate_model()
        assert combined.params_type == ParamsType.DIFF
        found.add(b"".join(combined.params[name].tobytes() for name in sorted(combined.params)))
    assert len(found) == 1
    orders = itertools.permutations([1, 2, 3, 4])  # in another order the bits are others, so that this can fail
    plain = {weighted_mean([uneven(n) for n in order], order)["w"].tobytes() for order in orders}
    assert len(plain) > 1


def test_updates_weigh_by_their_steps() -> None:
    made = aggregator()
    made.accept_model(answer("site-1", {name: v + 1 for name, v in GLOBAL.items()}, steps=3))
    made.accept_model(answer("site-2", {name: v + 5 for name, v in GLOBAL.items()}, steps=1))
    combined = made.aggregate_model().params
    assert set(combined) == set(GLOBAL)
    assert (combined["w"] == 2).all()


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({**GLOBAL, "w": np.full((3, 4), np.nan)}, "w holds 12"),
        ({**GLOBAL, "w": np.full((3, 4), np.inf)}, "w holds 12"),
        ({**GLOBAL, "w": np.zeros((4, 3))}, "shape"),
        ({"w": GLOBAL["w"]}, "missing"),
        ({**GLOBAL, "x": GLOBAL["w"]}, "unknown"),
    ],
)
def test_an_unusable_update_is_refused_with_its_site(params: dict[str, np.ndarray], said: str) -> None:
    made = aggregator()
    with pytest.raises(ValueError, match=rf"site-7 is refused: .*{said}"):
        made.accept_model(answer("site-7", params))
    assert said in made.aggregation.refused["site-7"]


def test_whole_weights_are_refused() -> None:
    with pytest.raises(ValueError, match=r"site-7.*FULL"):
        aggregator().accept_model(answer("site-7", kind=ParamsType.FULL))


@pytest.mark.parametrize("steps", [0, -1, True, math.nan, math.inf, None, "2"])
def test_steps_that_are_no_weight_are_refused(steps: Any) -> None:
    made = aggregator()
    with pytest.raises(ValueError, match=r"site-7.*steps"):
        made.accept_model(answer("site-7", steps=steps))
    assert made.aggregation.usable == 0


def test_a_refused_update_leaves_the_others_as_they_are() -> None:
    made = aggregator()
    made.accept_model(answer("site-1", uneven(1)))
    with pytest.raises(ValueError, match="site-2"):
        made.accept_model(answer("site-2", {**GLOBAL, "w": np.full((3, 4), np.nan)}, steps=100))
    assert np.array_equal(made.aggregate_model().params["w"], uneven(1)["w"])
    assert set(made.aggregation.refused) == {"site-2"}


def test_a_round_without_a_usable_update_ends_the_job_and_says_why() -> None:
    made = aggregator()
    for site in ("site-1", "site-2"):
        with pytest.raises(ValueError, match=site):
            made.accept_model(answer(site, {**GLOBAL, "w": np.full((3, 4), np.nan)}))
    with pytest.raises(RuntimeError, match=r"site-1: w holds 12.*site-2: w holds 12.*stays as it was"):
        made.aggregate_model()


def test_nothing_of_a_round_is_left_in_the_next() -> None:
    made = aggregator()
    made.accept_model(answer("site-1", uneven(1), steps=50))
    with pytest.raises(ValueError, match="site-3"):
        made.accept_model(answer("site-3", steps=0))
    made.aggregate_model()
    made.reset_stats()
    assert not made.aggregation.refused
    with pytest.raises(RuntimeError):
        made.aggregate_model()
    made.accept_model(answer("site-2", uneven(2)))
    assert np.array_equal(made.aggregate_model().params["w"], uneven(2)["w"])


def test_an_abandoned_round_leaves_nothing_either() -> None:
    made = aggregator()
    made.accept_model(answer("site-1", uneven(1), steps=50))
    made.reset_stats()
    made.accept_model(answer("site-2", uneven(2)))
    assert np.array_equal(made.aggregate_model().params["w"], uneven(2)["w"])


def test_the_algorithm_is_rebuilt_with_its_options() -> None:
    made = aggregator(algorithm={"name": "fedprox", "fedproxloss_mu": 0.1})
    for _ in range(2):  # the stored description must survive its use
        made.accept_model(answer("site-1", uneven(1)))
        assert np.array_equal(made.aggregate_model().params["w"], uneven(1)["w"])
    assert made.algorithm == {"name": "fedprox", "fedproxloss_mu": 0.1}


def test_what_an_algorithm_does_not_expect_beside_an_update_is_refused() -> None:
    made = aggregator()
    model = answer("site-7")
    model.meta[EXTRAS] = {"control": np.ones(3)}
    with pytest.raises(ValueError, match=r"site-7 is refused: of what its algorithm sends beside, .*unknown"):
        made.accept_model(model)
    assert made.aggregation.usable == 0


def scaled(sites: dict[str, float]) -> list[FLModel]:
    return [answer(site, {name: v + factor for name, v in GLOBAL.items()}) for site, factor in sites.items()]


def test_an_update_that_is_far_larger_than_the_others_is_refused_whoever_comes_first() -> None:
    for order in itertools.permutations(scaled({"site-1": 1.0, "site-2": 3000.0, "site-3": 3.0})):
        made = aggregator(max_update_ratio=100)
        for model in order:
            made.accept_model(model)
        made.aggregation.refuse_oversized()
        assert set(made.aggregation.refused) == {"site-2"}
        assert "times the median" in made.aggregation.refused["site-2"]
        assert (made.aggregate_model().params["w"] == 2).all()


@pytest.mark.parametrize("ratio", [0.0, 5000.0])
def test_without_a_limit_or_below_it_every_update_counts(ratio: float) -> None:
    made = aggregator(ratio)
    for model in scaled({"site-1": 1.0, "site-2": 3000.0}):
        made.accept_model(model)
    made.aggregation.refuse_oversized()
    assert made.aggregation.refused == {}
    assert made.aggregation.usable == 2


def test_a_round_without_any_update_has_none_that_is_too_large() -> None:
    made = aggregator(max_update_ratio=100)
    made.aggregation.refuse_oversized()
    assert made.aggregation.refused == {}
