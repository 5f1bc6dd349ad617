"""Dice by both rules against voxels counted by hand, and means over cases and sites."""

import math

import pytest
import torch

from fedmed.metrics import CASES, challenge_dice, mean_of_values, mean_over_sites, region_dice, reported


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


def test_the_mean_leaves_nan_out() -> None:
    assert mean_of_values([0.5, math.nan, 1.0]) == 0.75
    assert mean_of_values([math.nan]) is None
    assert mean_of_values([]) is None


def test_the_mean_over_sites_is_the_pooled_mean_over_cases() -> None:
    cases = {"site-1": [0.1, 0.5, 0.9], "site-2": [0.2], "site-3": [0.3, 0.7]}
    scores = {site: {"val_dice": sum(v) / len(v), CASES: len(v)} for site, v in cases.items()}
    pooled = [value for values in cases.values() for value in values]
    assert mean_over_sites(scores) == {"val_dice": pytest.approx(sum(pooled) / len(pooled))}


def test_the_mean_over_sites_is_over_those_that_have_the_metric() -> None:
    scores = {"a": {"val_x": 1.0, "val_y": 2.0, CASES: 3}, "b": {"val_y": 6.0, CASES: 1}, "c": {CASES: 5}}
    assert mean_over_sites(scores) == {"val_x": 1.0, "val_y": 3.0}


def test_what_was_trained_is_not_weighted_by_validation_cases() -> None:
    scores = {
        "a": {"train_loss": 1.0, "train_loss_values": 9, CASES: 0},
        "b": {"train_loss": 2.0, "train_loss_values": 1},
    }
    assert mean_over_sites(scores) == {"train_loss": pytest.approx(1.1)}


def test_a_metric_of_no_value_at_any_site_has_no_mean() -> None:
    assert mean_over_sites({"a": {"val_x": 0.0, "val_x_values": 0}}) == {}


@pytest.mark.parametrize("sites", [1, 2, 3, 4, 7])
def test_however_cases_are_dealt_to_sites_the_mean_is_the_same(sites: int) -> None:
    """Also where some have no value, which a mean weighted by cases would get wrong."""
    values = [0.9, math.nan, 0.2, 0.7, math.nan, 0.4, 0.1]
    told = {
        f"site-{i}": {**reported({"val_dice": values[i::sites]}), CASES: len(values[i::sites])} for i in range(sites)
    }
    assert mean_over_sites(told)["val_dice"] == pytest.approx((0.9 + 0.2 + 0.7 + 0.4 + 0.1) / 5, abs=1e-12)


def test_a_report_has_means_and_how_many_values_they_are_of() -> None:
    told = reported({"a": [1.0, math.nan, 0.5], "b": [math.nan], "c": []})
    assert told == {"a": 0.75, "a_values": 2}


def test_sites_that_state_no_cases_weigh_the_same() -> None:
    assert mean_over_sites({"a": {"x": 1.0}, "b": {"x": 2.0}}) == {"x": 1.5}
    assert mean_over_sites({}) == {}
