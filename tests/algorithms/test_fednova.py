"""FedNova: the weight of a site grows with its cases once, by problems whose minimiser is known."""

import numpy as np
import pytest

from fedmed.algorithms.averaging import weighted_mean
from fedmed.algorithms.base import Contribution, ServerSetup, ServerSide
from fedmed.algorithms.fedavg import FedAvg
from fedmed.algorithms.fednova import MOST_SCALED, FedNova, normalized_mean
from fedmed.core.settings import AggregationWeights

CENTRES, CASES, STEPS = np.array([0.0, 1.0, 10.0]), [600.0, 300.0, 100.0], [60.0, 30.0, 10.0]
"""Sites whose loss is (x - c)^2 / 2, and each of which takes a step for every ten of its cases."""


def fixed_point(side: ServerSide, rate: float = 0.01, rounds: int = 4000) -> float:
    """The place where rounds of gradient descent at the sites end."""
    x = 3.0
    for _ in range(rounds):
        trained = CENTRES + (x - CENTRES) * (1 - rate) ** np.array(STEPS)
        found = [
            Contribution(f"site-{number}", {"x": np.array([after - x])}, steps, cases)
            for number, (after, steps, cases) in enumerate(zip(trained, STEPS, CASES, strict=True))
        ]
        x += float(side.combine(found)["x"][0])
    return x


def test_it_ends_near_the_minimiser_over_all_cases_where_fedavg_does_not() -> None:
    minimiser = float(np.average(CENTRES, weights=CASES))  # 1.3
    setup = ServerSetup({"x": (1,)}, 1, 3)
    nova, usual = fixed_point(FedNova().server(setup), 1e-4), fixed_point(FedAvg().server(setup), 1e-4)
    assert nova == pytest.approx(minimiser, rel=0.01)
    assert usual == pytest.approx(float(np.average(CENTRES, weights=np.square(CASES))), rel=0.01)  # 0.41


def test_sites_of_equal_steps_are_averaged_by_their_cases() -> None:
    rng = np.random.default_rng(0)
    updates = [{"w": rng.normal(size=(2, 3))} for _ in CASES]
    found = normalized_mean(updates, [7.0] * 3, CASES)
    np.testing.assert_allclose(found["w"], weighted_mean(updates, CASES)["w"], rtol=1e-12)


def test_equal_updates_a_step_give_that_step_times_the_mean_number_of_steps() -> None:
    updates = [{"w": np.full(4, 0.5 * steps)} for steps in STEPS]
    np.testing.assert_allclose(normalized_mean(updates, STEPS, CASES)["w"], 0.5 * np.average(STEPS, weights=CASES))


def test_neither_the_scale_of_the_cases_nor_the_type_of_the_updates_changes() -> None:
    updates = [{"w": np.float32([number, 2])} for number in range(3)]
    found = normalized_mean(updates, STEPS, CASES)["w"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, normalized_mean(updates, STEPS, [case / 50 for case in CASES])["w"])


def test_who_understates_its_steps_is_scaled_up_by_a_bound() -> None:
    side = FedNova().server(ServerSetup({"w": (1,)}, 1, 3))

    def combined(stated: float) -> float:
        found = [Contribution(f"site-{n}", {"w": np.ones(1)}, 50.0, 100.0) for n in range(2)]
        return float(side.combine([*found, Contribution("site-2", {"w": np.full(1, 50.0)}, stated, 100.0)])["w"][0])

    assert combined(50.0) < combined(10.0) < combined(50.0 / MOST_SCALED)
    assert combined(1.0) < combined(50.0 / MOST_SCALED) * 1.1


@pytest.mark.parametrize(
    ("by", "weights"), [("cases", CASES), ("sqrt_cases", np.sqrt(CASES).tolist()), ("uniform", [1.0, 1.0, 1.0])]
)
def test_it_ends_near_the_minimiser_over_the_weighted_sites(by: AggregationWeights, weights: list[float]) -> None:
    side = FedNova().server(ServerSetup({"x": (1,)}, 1, 3, by))
    assert fixed_point(side, 1e-4) == pytest.approx(float(np.average(CENTRES, weights=weights)), rel=0.01)
