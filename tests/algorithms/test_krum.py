"""Krum and Multi-Krum against the paper's definition, written out."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed.algorithms.krum import Krum, krum_scores, squared_distances
from fedmed.algorithms.multi_krum import MultiKrum
from tests.algorithms.robust_updates import Arrays, flat, random_updates


def scores_by_definition(updates: list[Arrays], byzantine: int) -> list[float]:
    """The least sum of squared distances to any n - f - 2 of the other updates."""
    rows = [flat(update) for update in updates]
    near = len(rows) - byzantine - 2
    return [
        min(
            sum(float(np.sum((row - other) ** 2)) for other in chosen)
            for chosen in itertools.combinations([other for other in rows if other is not row], near)
        )
        for row in rows
    ]


@settings(max_examples=30, deadline=None)
@given(byzantine=st.integers(0, 2), more=st.integers(0, 1), seed=st.integers(0, 999))
def test_the_chosen_updates_are_those_of_the_lowest_scores(byzantine: int, more: int, seed: int) -> None:
    number = 2 * byzantine + 4 + more  # of three alone two have equal scores
    updates = random_updates(number, seed)
    scores = scores_by_definition(updates, byzantine)
    np.testing.assert_allclose(krum_scores(squared_distances(updates), byzantine), scores, rtol=1e-12)
    ranked = sorted(range(number), key=scores.__getitem__)
    krum, multi = (rule(byzantine=byzantine).rule(updates, [1.0] * number) for rule in (Krum, MultiKrum))
    if scores[ranked[0]] < scores[ranked[1]] * (1 - 1e-9):
        np.testing.assert_array_equal(flat(krum.update), flat(updates[ranked[0]]))
        assert [place for place, share in enumerate(krum.shares) if share] == [ranked[0]]
    kept = sorted(ranked[: number - byzantine])
    assert [place for place, share in enumerate(multi.shares) if share] == kept
    expected = np.mean([flat(updates[place]) for place in kept], axis=0)
    np.testing.assert_allclose(flat(multi.update), expected, rtol=1e-12)


def test_distances_are_over_all_entries_together_and_in_double_precision() -> None:
    updates = [{"w": np.zeros(1, np.float32), "b": np.zeros(1, np.float32)}]
    updates.append({"w": np.full(1, 3e20, np.float32), "b": np.full(1, 4e20, np.float32)})
    np.testing.assert_allclose(squared_distances(updates), [[0, 25e40], [25e40, 0]], rtol=1e-6)


def test_of_equal_scores_the_first_is_chosen() -> None:
    updates = [{"w": np.array([value])} for value in (1.0, 0.0, 9.0)]
    assert list(Krum(byzantine=0).rule(updates, [1.0] * 3).shares) == [1.0, 0.0, 0.0]


def test_fewer_updates_than_its_theorem_speaks_of_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 5 updates, got 4"):
        Krum().rule(random_updates(4, 0), [1.0] * 4)
