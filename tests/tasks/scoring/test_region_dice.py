"""Dice by both rules against voxels counted by hand."""

import math

import pytest
import torch

from fedmed.tasks.scoring.region_dice import challenge_dice, region_dice


def volume(*regions: list[int], voxels: int = 12) -> torch.Tensor:
    """(1, C, 2, 2, 3) with the numbered voxels of each region set."""
    flat = torch.zeros(1, len(regions), voxels, dtype=torch.uint8)
    for channel, numbers in enumerate(regions):
        flat[0, channel, numbers] = 1
    return flat.reshape(1, len(regions), 2, 2, 3)


def test_dice_of_voxels_counted_by_hand() -> None:
    truth = volume([0, 1, 2, 3], [5], [0, 1])
    predicted = volume([2, 3, 4], [5], [2, 3])
    expected = torch.tensor([[2 * 2 / (3 + 4), 1.0, 0.0]])
    assert torch.allclose(region_dice(predicted, truth), expected)
    assert torch.allclose(challenge_dice(predicted, truth), expected)
    assert torch.allclose(region_dice(predicted > 0, truth), expected)


def test_every_case_of_a_batch_is_scored_by_itself() -> None:
    truth = torch.cat([volume([0, 1]), volume([4])])
    predicted = torch.cat([volume([0]), volume([4])])
    assert region_dice(predicted, truth).tolist() == [[pytest.approx(2 / 3)], [1.0]]


def test_an_empty_truth_has_no_published_dice() -> None:
    scores = region_dice(volume([], [1], []), volume([], [1], [2]))
    assert math.isnan(scores[0, 0])
    assert scores[0, 1:].tolist() == [1, 0]
    assert math.isnan(region_dice(volume([3]), volume([]))[0, 0])


@pytest.mark.parametrize(("predicted", "expected"), [([], 1.0), ([3], 0.0)])
def test_the_challenge_rewards_an_empty_prediction_of_an_empty_truth(predicted: list[int], expected: float) -> None:
    assert challenge_dice(volume(predicted), volume([])).item() == expected


def test_the_challenge_scores_an_empty_prediction_of_something_0() -> None:
    assert challenge_dice(volume([]), volume([3])).item() == 0
