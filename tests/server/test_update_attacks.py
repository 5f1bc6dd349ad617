"""Attacks on updates: each is what its paper says of a known round, and touches nothing else."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed.algorithms.base import Contribution
from fedmed.core.attack import Attack
from fedmed.server.update_attacks import forged_updates
from tests.algorithms.robust_updates import Arrays, contributions_of, flat, random_updates

SEEDS = (0, 3)


def forged(
    name: str, found: list[Contribution], strength: float | None = None, attackers: str = "site-5"
) -> dict[str, Arrays]:
    attack = Attack(name, attackers, strength)  # type: ignore[arg-type]
    return {site: dict(update) for site, update in forged_updates(attack, found, SEEDS).items()}


def round_of(number: int = 5, seed: int = 0, kind: type = np.float64) -> tuple[list[Contribution], np.ndarray]:
    """A round's contributions, and the rows of all of its updates."""
    updates = random_updates(number, seed, kind)
    return contributions_of(updates), np.stack([flat(update) for update in updates])


@pytest.mark.parametrize(("name", "factor"), [("sign_flip", -1.0), ("scaled", 10.0)])
def test_an_update_is_turned_or_scaled(name: str, factor: float) -> None:
    found, rows = round_of()
    assert list(forged(name, found)) == ["site-5"]
    np.testing.assert_array_equal(flat(forged(name, found)["site-5"]), factor * rows[4])
    np.testing.assert_array_equal(flat(forged(name, found, 3.0)["site-5"]), np.sign(factor) * 3 * rows[4])


def test_inner_product_manipulation_is_the_honest_mean_reversed() -> None:
    found, rows = round_of()
    for strength in (0.5, 10.0):
        made = forged("ipm", found, strength, "site-1,site-5")
        expected = -strength * rows[1:4].mean(axis=0)
        np.testing.assert_allclose(flat(made["site-1"]), expected, rtol=1e-12)
        np.testing.assert_allclose(flat(made["site-5"]), expected, rtol=1e-12)


def test_a_little_is_the_honest_mean_less_some_deviations() -> None:
    found, rows = round_of()
    expected = rows[:4].mean(axis=0) - 1.5 * np.sqrt(((rows[:4] - rows[:4].mean(axis=0)) ** 2).mean(axis=0))
    np.testing.assert_allclose(flat(forged("alie", found, 1.5)["site-5"]), expected, rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(number=st.integers(3, 8), seed=st.integers(0, 999))
def test_min_max_goes_as_far_as_no_honest_update_is_farther_than_two_are_apart(number: int, seed: int) -> None:
    found, rows = round_of(number, seed)
    honest = rows[:-1]
    made = flat(forged("min_max", found, None, f"site-{number}")[f"site-{number}"])
    widest = max(np.linalg.norm(one - other) for one, other in combinations(honest, 2))
    assert np.linalg.norm(honest - made, axis=1).max() == pytest.approx(widest, rel=1e-9)
    way = made - honest.mean(axis=0)
    against = -honest.std(axis=0)
    assert way @ against == pytest.approx(np.linalg.norm(way) * np.linalg.norm(against), rel=1e-9)
    farther = honest.mean(axis=0) + 1.001 * way
    assert np.linalg.norm(honest - farther, axis=1).max() > widest


def test_min_max_of_honest_updates_that_are_equal_is_their_mean() -> None:
    (update,) = random_updates(1, 0)
    np.testing.assert_allclose(flat(forged("min_max", contributions_of([update] * 5))["site-5"]), flat(update))


def test_noise_is_normal_of_the_stated_length_and_follows_from_seed_round_and_site() -> None:
    update = {"w": np.full(20_000, 0.5, np.float32)}
    found = contributions_of([update] * 3)
    made = forged("gaussian", found, 4.0, "site-1,site-2")
    values = flat(made["site-1"])
    assert values.std() == pytest.approx(2.0, rel=0.03)
    assert values.mean() == pytest.approx(0.0, abs=0.06)
    assert np.mean(np.abs(values) < 2.0) == pytest.approx(0.683, abs=0.02)
    assert made["site-1"]["w"].dtype == np.float32
    again = forged("gaussian", found[:1], 4.0, "site-1")
    np.testing.assert_array_equal(again["site-1"]["w"], made["site-1"]["w"])
    assert np.abs(np.corrcoef(made["site-1"]["w"], made["site-2"]["w"])[0, 1]) < 0.05
    attack = Attack("gaussian", "site-1", 4.0)
    for other in ((1, 3), (0, 4)):
        assert not np.array_equal(forged_updates(attack, found, other)["site-1"]["w"], made["site-1"]["w"])


@pytest.mark.parametrize("name", ["ipm", "alie", "min_max"])
def test_without_an_honest_update_there_is_nothing_to_make_one_of(name: str) -> None:
    found, _ = round_of(2)
    strength = None if name == "min_max" else 1.0
    assert forged(name, found, strength, "site-1,site-2") == {}


@pytest.mark.parametrize("name", ["none", "label_flip"])
def test_what_is_no_attack_on_updates_forges_none(name: str) -> None:
    found, _ = round_of()
    assert forged_updates(Attack(name, None if name == "none" else "site-1"), found, SEEDS) == {}  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["sign_flip", "scaled", "gaussian", "ipm", "alie", "min_max"])
def test_types_stay_and_nothing_that_was_given_is_changed(name: str) -> None:
    found, rows = round_of(kind=np.float32)
    made = forged(name, found, 1.0 if name == "alie" else None)
    assert {values.dtype for values in made["site-5"].values()} == {np.dtype(np.float32)}
    assert {n: v.shape for n, v in made["site-5"].items()} == {n: v.shape for n, v in found[0].update.items()}
    np.testing.assert_array_equal(np.stack([flat(dict(each.update)) for each in found]), rows)
