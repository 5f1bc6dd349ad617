"""Noise: the same where a seed is asked for, never otherwise; normal with the stated deviation."""

import numpy as np
import pytest
from scipy import stats

from fedmed.privacy.noise import generator, item_seed, secure_normal


def test_equal_seeds_give_equal_noise_and_everything_else_another() -> None:
    def drawn(site: str, number: int, seed: int | None) -> list[float]:
        return list(generator(site, number, seed).normal(size=4))

    assert drawn("site-1", 1, 7) == drawn("site-1", 1, 7)
    different = [drawn("site-1", 1, 7), drawn("site-2", 1, 7), drawn("site-1", 2, 7), drawn("site-1", 1, 8)]
    different += [drawn("site-1", 1, None), drawn("site-1", 1, None)]
    assert len({tuple(each) for each in different}) == len(different)


def test_an_items_seed_follows_from_all_that_it_is_of() -> None:
    of = [("a", 1), ("b", 1), ("a", 2), ("ab", 1), ("a", "b", 1)]
    assert item_seed(3, *of[0]) == item_seed(3, *of[0])
    assert len({item_seed(seed, *each) for seed in (3, 4) for each in of}) == 2 * len(of)
    assert item_seed(None, "a") != item_seed(None, "a")
    assert all(0 <= item_seed(None, "a") < 2**32 for _ in range(20))


def test_a_generator_of_noise_is_seeded_with_256_bits_of_the_operating_system() -> None:
    pools = [generator("site-1", 1, None).bit_generator.seed_seq.pool for _ in range(3)]  # type: ignore[attr-defined]
    assert {pool.dtype.itemsize * 8 * pool.size for pool in pools} == {256}
    assert len({word for pool in pools for word in pool.tolist()}) == 24  # each word has another value in each


def test_what_is_drawn_for_one_purpose_says_nothing_of_another() -> None:
    noise, samples = (generator("site-1", 1, 7, purpose).normal(size=3) for purpose in ("noise", "samples"))
    assert not np.array_equal(noise, samples)


@pytest.mark.parametrize("std", [0.01, 3.0])
def test_secure_noise_is_normal_with_the_stated_deviation(std: float) -> None:
    values = secure_normal((200, 500), std)
    assert values.shape == (200, 500)
    assert np.isfinite(values).all()
    assert values.std() == pytest.approx(std, rel=0.015)  # 6 standard errors of 100000 values
    assert abs(values.mean()) < 6 * std / np.sqrt(values.size)
    assert stats.kstest(values.ravel() / std, "norm").pvalue > 1e-6


def test_no_two_draws_of_secure_noise_are_alike() -> None:
    assert not np.array_equal(secure_normal((10,), 1.0), secure_normal((10,), 1.0))
