"""The trimmed mean and the median against NumPy and SciPy, coordinate by coordinate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import trim_mean

from fedmed.algorithms.averaging import weighted_mean
from fedmed.algorithms.median import Median
from fedmed.algorithms.trimmed_mean import TrimmedMean, middle_mean
from fedmed.core.errors import InputError
from tests.algorithms.robust_updates import flat, random_updates


@settings(max_examples=40, deadline=None)
@given(number=st.integers(1, 9), trim=st.integers(0, 4), seed=st.integers(0, 999))
def test_it_is_scipys_trimmed_mean(number: int, trim: int, seed: int) -> None:
    updates = random_updates(number, seed)
    if number <= 2 * trim:
        with pytest.raises(ValueError, match=f"more than {2 * trim} updates"):
            middle_mean(updates, trim)
        return
    found = middle_mean(updates, trim).update
    for name, values in found.items():
        expected = trim_mean(np.stack([update[name] for update in updates]), (trim + 0.01) / number, axis=0)
        np.testing.assert_allclose(values, expected, rtol=1e-12)


@settings(max_examples=20, deadline=None)
@given(number=st.integers(1, 9), seed=st.integers(0, 999))
def test_the_median_is_numpys(number: int, seed: int) -> None:
    updates = random_updates(number, seed)
    for name, values in Median().rule(updates, [1.0] * number).update.items():
        np.testing.assert_allclose(values, np.median([update[name] for update in updates], axis=0), rtol=1e-14)


def test_without_trimming_it_is_the_uniform_mean() -> None:
    updates = random_updates(5, 0)
    found = TrimmedMean(trim=0).rule(updates, [9.0, 1.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(flat(found.update), flat(weighted_mean(updates, [1.0] * 5)), rtol=1e-14)
    assert list(found.shares) == [1.0] * 5


def test_a_share_is_that_of_the_coordinates_whose_value_is_kept() -> None:
    columns = np.array([[0.0, 5.0, 1.0, 1.0], [1.0, 1.0, 1.0, 2.0], [2.0, 0.0, 1.0, 3.0]])
    updates = [{"w": row[:2], "b": row[2:]} for row in columns]
    found = middle_mean(updates, 1)
    np.testing.assert_array_equal(flat(found.update), [1.0, 1.0, 1.0, 2.0])
    assert list(found.shares) == [0.25, 1.0, 0.25]  # in the third column all are equal


def test_whoever_is_trimmed_a_mean_of_float32_is_summed_in_double_precision() -> None:
    updates = [{"w": np.full(1, value, np.float32)} for value in (-1e9, 2.0**24, 1.0, 1.0, 1e9)]
    assert middle_mean(updates, 1).update["w"][0] == np.float32((2.0**24 + 2) / 3)


@pytest.mark.parametrize("trim", [-1, 10**9])
def test_a_number_to_trim_that_is_none_is_refused(trim: int) -> None:
    with pytest.raises(InputError, match="--trim is"):
        TrimmedMean(trim=trim)
