"""Norm clipping: the bound, the direction, the weights, and that without effect it is FedAvg."""

import numpy as np
import pytest

from fedmed.algorithms.fedavg import FedAvg
from fedmed.algorithms.norm_clip import NormClip, clip_factors
from fedmed.core.errors import InputError
from fedmed.core.weights import l2_norm
from tests.algorithms.robust_updates import SETUP, contributions_of, flat, random_updates

STEPS = [7.0, 3.0, 11.0, 2.0, 5.0]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_with_a_bound_that_nobody_reaches_it_is_fedavg_bit_for_bit(kind: type) -> None:
    given = contributions_of(random_updates(5, 0, kind), STEPS)
    expected = FedAvg().server(SETUP).combine(given)
    side = NormClip(clip_norm=1e12).server(SETUP)
    found = side.combine(given)
    assert {name: values.tobytes() for name, values in found.items()} == {
        name: values.tobytes() for name, values in expected.items()
    }
    assert set(side.shares().values()) == {1.0}


def test_each_update_is_led_down_to_the_bound_in_its_own_direction_before_the_weighted_mean() -> None:
    updates = [*random_updates(3, 0), *random_updates(2, 1, size=100.0)]
    rows = np.stack([flat(update) for update in updates])
    norms = np.linalg.norm(rows, axis=1)
    clipped = rows * np.minimum(1, 4.0 / norms)[:, None]
    side = NormClip(clip_norm=4.0).server(SETUP)
    found = flat(dict(side.combine(contributions_of(updates, STEPS))))
    np.testing.assert_allclose(found, np.average(clipped, axis=0, weights=STEPS), rtol=1e-12)
    np.testing.assert_allclose(list(side.shares().values()), np.minimum(1, 4.0 / norms), rtol=1e-12)


def test_by_default_the_bound_is_the_median_norm_of_the_round() -> None:
    updates = random_updates(5, 3)
    bound = np.median([l2_norm(update) for update in updates])
    found = clip_factors([l2_norm(update) for update in updates], None)
    assert sum(factor == 1 for factor in found) == 3
    np.testing.assert_allclose([f * l2_norm(u) for f, u in zip(found, updates, strict=True) if f < 1], bound)


def test_where_most_send_nothing_nobody_moves_the_model() -> None:
    assert clip_factors([0.0, 0.0, 0.0, 5.0, 5.0], None) == [1, 1, 1, 0, 0]


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bound_that_is_none_is_refused(bound: float) -> None:
    with pytest.raises(InputError, match="--clip_norm is"):
        NormClip(clip_norm=bound)
