"""Lesion-wise scores of cases made by hand, whose answer follows from the challenge's definition."""

import numpy as np
import pytest

from fedmed.tasks.scoring.lesion_metrics import MISSED_MM, LesionScores, Mask, lesion_scores

SIZE = (60, 24, 24)
EDGE = 5  # 125 mm^3, above the 50 mm^3 that count


def cubes(*starts: int, edge: int = EDGE) -> Mask:
    mask = np.zeros(SIZE, bool)
    for x in starts:
        mask[x : x + edge, 8 : 8 + edge, 8 : 8 + edge] = True
    return mask


NOTHING = np.zeros(SIZE, bool)


def test_perfect_lesions() -> None:
    assert lesion_scores(cubes(4, 40), cubes(4, 40)) == LesionScores(1, 0, 2, 0, 0)


def test_a_missed_lesion_counts_as_nothing_at_the_worst_distance() -> None:
    assert lesion_scores(cubes(4), cubes(4, 40)) == LesionScores(0.5, MISSED_MM / 2, 2, 1, 0)


def test_a_false_lesion_counts_like_a_missed_one_however_small() -> None:
    predicted = cubes(4)
    predicted[50, 2, 2] = True
    assert lesion_scores(predicted, cubes(4, 28)) == LesionScores(1 / 3, MISSED_MM * 2 / 3, 2, 1, 1)


def test_parts_that_touch_once_dilated_are_one_lesion() -> None:
    """A gap of 6 voxels is closed by 3 dilations from either side, one of 8 is not."""
    close, apart = cubes(4, 4 + EDGE + 6), cubes(4, 4 + EDGE + 8)
    assert lesion_scores(cubes(4), close).lesions == 1
    assert lesion_scores(cubes(4), close).dice == pytest.approx(2 * 125 / (125 + 250))
    assert lesion_scores(cubes(4), apart) == LesionScores(0.5, MISSED_MM / 2, 2, 1, 0)


def test_all_components_that_reach_a_lesion_are_scored_with_it() -> None:
    predicted = cubes(4) | cubes(4 + EDGE + 2, edge=2)  # the second lies within 3 voxels of the lesion
    found = lesion_scores(predicted, cubes(4))
    assert found.dice == pytest.approx(2 * 125 / (125 + 133))
    assert (found.lesions, found.missed, found.false) == (1, 0, 0)


def test_a_component_near_a_lesion_has_found_it_though_they_share_no_voxel() -> None:
    found = lesion_scores(cubes(4 + EDGE + 1), cubes(4))
    assert (found.dice, found.missed, found.false) == (0, 0, 0)
    assert found.hd95_mm == pytest.approx(EDGE + 1)


def test_a_small_lesion_is_left_out_whether_found_or_not() -> None:
    small = cubes(4, edge=3)  # 27 mm^3
    assert lesion_scores(NOTHING, small) == LesionScores(1, 0, 0, 0, 0)
    assert lesion_scores(small, small) == LesionScores(1, 0, 0, 0, 0)


def test_nothing_to_find() -> None:
    assert lesion_scores(NOTHING, NOTHING) == LesionScores(1, 0, 0, 0, 0)
    assert lesion_scores(cubes(4), NOTHING) == LesionScores(0, MISSED_MM, 0, 0, 1)


def test_where_the_lesions_lie_in_the_volume_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    predicted, truth = (np.repeat(np.repeat(rng.random((15, 6, 6)) > 0.8, 4, 0), 4, 1).repeat(4, 2) for _ in range(2))
    found = lesion_scores(predicted, truth)
    padded = lesion_scores(np.pad(predicted, 9), np.pad(truth, 9))
    mirrored = lesion_scores(predicted[::-1, :, ::-1], truth[::-1, :, ::-1])
    assert found == pytest.approx(padded)
    assert found == pytest.approx(mirrored)


def test_the_smallest_lesion_that_counts_is_a_volume_in_mm() -> None:
    small = cubes(4, edge=3)  # 27 voxels
    assert lesion_scores(small, small).lesions == 0
    assert lesion_scores(small, small, (2.0, 1.0, 1.0)).lesions == 1


def test_a_picture_has_lesions_too() -> None:
    truth, predicted = np.zeros((2, 60, 24), bool)
    truth[4:14, 4:14] = truth[40:50, 4:14] = True
    predicted[4:14, 4:14] = True
    assert lesion_scores(predicted, truth) == LesionScores(0.5, MISSED_MM / 2, 2, 1, 0)
