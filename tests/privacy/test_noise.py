"""Noise: the same where a seed is asked for, never otherwise; normal with the stated deviation."""

import numpy as np
import pytest
import torch
from scipy import stats

from fedmed.privacy.noise import generator, secure_normal, torch_generator


def test_equal_seeds_give_equal_noise_and_everything_else_another() -> None:
    def drawn(site: str, number: int, seed: int | None) -> list[float]:
        return list(generator(site, number, seed).normal(size=4))

    assert drawn("site-1", 1, 7) == drawn("site-1", 1, 7)
    different = [drawn("site-1", 1, 7), drawn("site-2", 1, 7), drawn("site-1", 2, 7), drawn("site-1", 1, 8)]
    different += [drawn("site-1", 1, None), drawn("site-1", 1, None)]
    assert len({tuple(each) for each in different}) == len(different)


def test_torch_generators_follow_the_same_rule() -> None:
    def drawn(seed: int | None) -> float:
        return float(torch.rand((), generator=torch_generator("site-1", 1, seed, torch.device("cpu"))))

    assert drawn(3) == drawn(3)
    assert drawn(None) != drawn(None)


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
