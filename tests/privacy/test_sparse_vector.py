"""The sparse vector technique against FLARE's: the same bits of the same random numbers, else the same distribution."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nvflare.apis.dxo import from_shareable
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.filters.svt_privacy import SVTPrivacy
from scipy.stats import ks_2samp

from fedmed.core.errors import InputError
from fedmed.privacy.base import PrivateUpdate
from fedmed.privacy.sparse_vector import SparseVector
from fedmed.privacy.svt import SVT
from tests.privacy.results import result

OPTIONS = {
    "dp_epsilon": st.floats(1e-4, 1e3),
    "dp_fraction": st.floats(0.01, 1.0),
    "dp_noise_var": st.floats(1e-3, 1e6),
    "dp_gamma": st.floats(1e-6, 1.0),
}


def by_flare(mechanism: SVT, update: PrivateUpdate, steps: int, seed: int) -> tuple[PrivateUpdate, dict[str, Any]]:
    """What FLARE's filter releases, and what its accountant books."""
    flares = SVTPrivacy(mechanism.dp_fraction, mechanism.dp_epsilon, mechanism.dp_noise_var, mechanism.dp_gamma)
    dxo = from_shareable(result(dict(update), steps=steps))
    np.random.seed(seed)  # it draws from NumPy's global generator
    flares.process_dxo(dxo, Shareable(), FLContext())
    return dxo.data, dxo.get_meta_prop("svt_privacy_budget")


def technique(mechanism: SVT, update: PrivateUpdate) -> SparseVector:
    return mechanism._technique(sum(values.size for values in update.values()))


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 300),
    kind=st.sampled_from([np.float16, np.float32, np.float64]),
    options=st.fixed_dictionaries(OPTIONS),
)
def test_of_the_same_random_numbers_it_gives_the_same_bits(
    seed: int, steps: int, kind: type, options: dict[str, float]
) -> None:
    mechanism = SVT(**options)
    update = {"w": np.random.default_rng(seed).normal(0, 1e-3, (20, 15)).astype(kind)}
    before = update["w"].copy()
    with np.errstate(over="ignore"):
        expected, _ = by_flare(mechanism, update, steps, seed)
        sent = technique(mechanism, update).released(update, steps, np.random.RandomState(seed))
    assert (sent["w"].dtype, sent["w"].shape) == (kind, (20, 15))
    assert np.array_equal(sent["w"], expected["w"])
    assert np.array_equal(update["w"], before)


@settings(deadline=None, max_examples=40)
@given(values=st.integers(1, 10_000), options=st.fixed_dictionaries(OPTIONS))
def test_the_account_is_flares(values: int, options: dict[str, float]) -> None:
    mechanism = SVT(**options)
    _, budget = by_flare(mechanism, {"w": np.ones(values)}, 1, 0)
    ours = mechanism._technique(values)
    assert ours.count == budget["n_upload"]
    for name in ("epsilon_threshold", "epsilon_query", "epsilon_release", "epsilon_total"):
        assert getattr(ours, name) == budget[name], name
    assert mechanism.epsilon_of_round(values) == budget["epsilon_total"]


def test_of_several_entries_as_many_and_as_noisy_values_leave_each() -> None:
    """FLARE draws how many values each entry gives, ours all at once, so that single draws differ."""
    rng = np.random.default_rng(0)
    update = {"small": rng.normal(0, 1e-5, 3000), "large": rng.normal(0, 1e-2, (60, 50)), "one": np.array(0.25)}
    mechanism = SVT(dp_epsilon=1e4, dp_fraction=0.3, dp_noise_var=5.0, dp_gamma=1e-3)
    theirs = [by_flare(mechanism, update, 2, seed)[0] for seed in range(40)]
    made, source = technique(mechanism, update), np.random.default_rng(1)
    ours = [made.released(update, 2, source) for _ in range(40)]
    for name in ("small", "large"):
        counts = [[np.count_nonzero(sent[name]) for sent in found] for found in (ours, theirs)]
        assert np.mean(counts[0]) == pytest.approx(np.mean(counts[1]), rel=0.02)
        one, other = (np.concatenate([sent[name][sent[name] != 0] for sent in found]) for found in (ours, theirs))
        assert ks_2samp(one, other).pvalue > 1e-3
    assert all(sent["one"] == 0.25 for sent in (*ours, *theirs))  # single numbers leave as they are


def test_the_same_generator_gives_the_same_release_and_another_one_does_not() -> None:
    update = {"a": np.ones((7, 5), np.float32), "b": np.ones(9, np.float32)}
    made = SparseVector(count=20, epsilon=1.0, noise_setting=1.0, bound=1e-2)
    one, same, other = (made.released(update, 1, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert all(np.array_equal(one[name], same[name]) for name in update)
    assert not all(np.array_equal(one[name], other[name]) for name in update)


def test_where_too_few_values_can_ever_be_selected_nothing_leaves() -> None:
    made = SparseVector(count=50, epsilon=1e15, noise_setting=1.0, bound=1e-2)
    update = {"w": np.concatenate([np.ones(10), np.zeros(90)])}
    with pytest.raises(InputError, match=r"10 values reach its threshold and 50 are to be released.*--dp_epsilon"):
        made.released(update, 1, np.random.default_rng(0))
