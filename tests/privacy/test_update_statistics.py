"""Norms, clipping and comparison of updates, against hand-made cases."""

import math

import numpy as np
import pytest

from fedmed.core.weights import l2_norm
from fedmed.privacy.update_statistics import clipped, cosine, share_of_values, signal_to_noise

UPDATE = {"a": np.array([3.0, 0.0], np.float32), "b": np.array([[0.0], [4.0]], np.float32)}


def test_the_norm_is_that_of_all_values_together() -> None:
    assert l2_norm(UPDATE) == 5.0


@pytest.mark.parametrize("clip", [1e-6, 0.3, 1.0, 4.999, 5.0, 80.0])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_clipping_bounds_the_norm_exactly_and_keeps_the_direction(clip: float, kind: type) -> None:
    rng = np.random.default_rng(0)
    for update in (UPDATE, {"w": rng.normal(size=(50, 20)), "v": rng.normal(size=7)}):
        given = {name: values.astype(kind) for name, values in update.items()}
        kept = clipped(given, clip)
        assert l2_norm(kept) <= clip
        assert all(kept[name].dtype == np.float64 for name in kept)
        assert cosine(given, kept) == pytest.approx(1)
        assert l2_norm(kept) == pytest.approx(min(clip, l2_norm(given)))


def test_what_is_given_is_never_changed_nor_handed_back() -> None:
    before = {name: values.copy() for name, values in UPDATE.items()}
    for clip in (1.0, 100.0):
        kept = clipped(UPDATE, clip)
        kept["a"] += 1
    assert all(np.array_equal(UPDATE[name], before[name]) for name in UPDATE)


def test_cosine_and_signal_to_noise_of_hand_made_updates() -> None:
    turned = {"a": np.array([0.0, 3.0]), "b": np.array([[-4.0], [0.0]])}
    assert cosine(UPDATE, turned) == 0.0
    assert cosine(UPDATE, {name: -2 * values for name, values in UPDATE.items()}) == pytest.approx(-1)
    assert math.isnan(cosine(UPDATE, {name: 0 * values for name, values in UPDATE.items()}))
    assert signal_to_noise(UPDATE, {name: 0 * values for name, values in UPDATE.items()}) == 1.0
    assert signal_to_noise(UPDATE, UPDATE) == math.inf
    assert signal_to_noise(UPDATE, {"a": UPDATE["a"], "b": UPDATE["b"] + np.float32(1)}) == pytest.approx(
        5 / math.sqrt(2)
    )


def test_the_share_of_values_above_a_bound() -> None:
    assert share_of_values(UPDATE) == 0.5
    assert share_of_values(UPDATE, above=3.5) == 0.25
