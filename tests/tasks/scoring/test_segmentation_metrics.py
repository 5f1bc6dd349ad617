"""What is said of a whole case, of a hand-made one whose answers are known."""

import math

import pytest
import torch

from fedmed.tasks.scoring.metric_catalogue import SEGMENTATION_METRICS
from fedmed.tasks.scoring.segmentation_metrics import case_metrics


@pytest.fixture
def values() -> dict[str, list[float]]:
    """Three regions: half found, with nothing to find but something found, and with nothing in either."""
    truth, predicted = torch.zeros(2, 3, 20, 20, 20, dtype=torch.bool)
    truth[0, 4:14, 4:14, 4:14] = True
    predicted[0, 4:14, 4:14, 4:9] = True
    predicted[1, 0:10, 0, 0] = True
    return case_metrics(predicted, truth)


def test_every_metric_is_there_for_every_region(values: dict[str, list[float]]) -> None:
    assert list(values) == [metric.name for metric in SEGMENTATION_METRICS]
    assert all(len(of_regions) == 3 for of_regions in values.values())


def test_the_published_rule_drops_empty_regions_and_the_challenges_counts_them(values: dict[str, list[float]]) -> None:
    assert values["dice"][0] == pytest.approx(2 * 500 / 1500)
    assert math.isnan(values["dice"][1])
    assert math.isnan(values["dice"][2])
    assert values["challenge_dice"] == pytest.approx([2 / 3, 0, 1])
    assert values["challenge_surface_dice"][1:] == [0, 1]
    assert values["challenge_hd95"][1:] == pytest.approx([373.13, 0])
    assert values["lesion_dice"] == pytest.approx([2 / 3, 0, 1])


def test_volumes_are_in_ml_and_the_error_has_a_sign(values: dict[str, list[float]]) -> None:
    assert values["volume"] == pytest.approx([1.0, 0, 0])
    assert values["predicted_volume"] == pytest.approx([0.5, 0.01, 0])
    assert values["volume_error"] == pytest.approx([-0.5, 0.01, 0])
    assert values["absolute_volume_error"] == pytest.approx([0.5, 0.01, 0])


def test_lesions_are_counted(values: dict[str, list[float]]) -> None:
    assert values["lesions"] == [1, 0, 0]
    assert values["lesions_missed"] == [0, 0, 0]
    assert values["lesions_false"] == [0, 1, 0]


def test_volumes_and_distances_follow_the_spacing() -> None:
    truth, predicted = torch.zeros(2, 1, 20, 20, 20, dtype=torch.bool)
    truth[0, 4:14, 4:14, 4:14] = True
    predicted[0, 8:18, 4:14, 4:14] = True
    values = case_metrics(predicted, truth, (0.5, 2.0, 2.0))
    assert values["volume"] == pytest.approx([2.0])
    assert values["hd95"] == pytest.approx([2.0])
    assert values["dice"] == case_metrics(predicted, truth)["dice"]
