"""Distances against scipy's distance transform and shapes whose answer is known."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from fedmed.tasks.scoring.surface_metrics import (
    PENALTY_MM,
    challenge_hd95,
    challenge_surface_dice,
    hd95,
    surface_dice,
)

SIZE = (24, 20, 18)


def cube(x: int, edge: int = 6) -> torch.Tensor:
    mask = torch.zeros(1, *SIZE, dtype=torch.bool)
    mask[0, x : x + edge, 5 : 5 + edge, 5 : 5 + edge] = True
    return mask


def blob(seed: int) -> NDArray[np.bool_]:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(SIZE), 3)
    return np.asarray(field > np.quantile(field, 0.8))


def by_distance_transform(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """The 95 % Hausdorff distance of the surfaces' voxels, straight from its definition."""
    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in (a, b)]
    one, other = surfaces
    there = ndimage.distance_transform_edt(~other)[one]
    back = ndimage.distance_transform_edt(~one)[other]
    return max(float(np.percentile(there, 95)), float(np.percentile(back, 95)))


@pytest.mark.parametrize("seed", range(4))
def test_hd95_is_what_scipys_distance_transform_gives(seed: int) -> None:
    a, b = blob(2 * seed), blob(2 * seed + 1)
    found = hd95(torch.from_numpy(a)[None], torch.from_numpy(b)[None])
    assert found.item() == pytest.approx(by_distance_transform(a, b), abs=1e-4)


def test_a_cube_that_is_moved_is_as_far_away_as_it_was_moved() -> None:
    assert hd95(cube(3), cube(3)).item() == 0
    assert hd95(cube(6), cube(3)).item() == pytest.approx(3)


def test_surfaces_within_the_tolerance_are_equal() -> None:
    assert surface_dice(cube(4), cube(3)).item() == pytest.approx(1)
    assert surface_dice(cube(5, edge=1), cube(3, edge=1)).item() == 0


def test_half_of_the_surface_within_the_tolerance_is_a_half() -> None:
    """Two voxels in the truth, one of them found and the other far away: 1 + 1 of 1 + 2 surface voxels agree."""
    truth = cube(3, edge=1) | cube(15, edge=1)
    assert surface_dice(cube(3, edge=1), truth).item() == pytest.approx(2 / 3)


def test_what_an_empty_mask_means_by_each_rule() -> None:
    nothing, there = torch.zeros(1, *SIZE, dtype=torch.bool), cube(3)
    assert math.isnan(hd95(there, nothing).item())
    assert math.isnan(surface_dice(nothing, nothing).item())
    assert hd95(nothing, there).item() == pytest.approx(PENALTY_MM)
    assert surface_dice(nothing, there).item() == 0
    assert challenge_hd95(nothing, nothing).item() == 0
    assert challenge_surface_dice(nothing, nothing).item() == 1
    assert challenge_hd95(there, nothing).item() == pytest.approx(PENALTY_MM)
    assert challenge_surface_dice(there, nothing).item() == 0
    assert challenge_hd95(cube(6), there).item() == pytest.approx(3)


def test_the_penalty_is_the_diagonal_of_a_brats_volume() -> None:
    assert pytest.approx(math.dist((0, 0, 0), (240, 240, 155)), abs=0.01) == PENALTY_MM


def test_each_region_is_measured_by_itself() -> None:
    predicted, truth = torch.cat([cube(6), cube(3)]), torch.cat([cube(3), cube(3)])
    assert hd95(predicted, truth).tolist() == pytest.approx([3, 0])


def test_distances_are_in_mm_whatever_the_spacing() -> None:
    one, other = cube(4), cube(7)
    assert float(hd95(one, other)) == pytest.approx(3)
    assert float(hd95(one, other, (2.0, 1.0, 1.0))) == pytest.approx(6)
    assert float(hd95(one, other, 0.5)) == pytest.approx(1.5)
    assert float(surface_dice(cube(4), cube(5), 1.0)) == 1  # within 1 mm
    assert float(surface_dice(cube(4), cube(5), (2.0, 2.0, 2.0))) < 1


def test_a_picture_has_the_distances_of_its_outline() -> None:
    truth, predicted = torch.zeros(2, 3, 30, 20, dtype=torch.bool)
    truth[:2, 5:15, 5:15] = True
    predicted[0, 9:19, 5:15] = True
    found = hd95(predicted, truth)
    assert float(found[0]) == pytest.approx(4)
    assert float(found[1]) == PENALTY_MM
    assert math.isnan(found[2])
    assert challenge_hd95(predicted, truth).tolist() == pytest.approx([4, PENALTY_MM, 0])
    assert surface_dice(truth[:1], truth[:1]).tolist() == [1]
