"""Scores of slices against values worked out by hand, and against scikit-learn for many draws of patients."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from fedmed.analysis.evaluation.evaluation_table import long_table, summarize
from fedmed.analysis.evaluation.patient_bootstrap import figures_of
from fedmed.tasks.base import Row
from fedmed.tasks.scoring.classification_metrics import SCORE, TRUTH
from fedmed.tasks.scoring.slice_catalogue import SLICE_METRICS
from fedmed.tasks.scoring.slice_metrics import distance_row, overlap_rows

DICE, SLICE_DICE, PRESENCE, HD95 = SLICE_METRICS
NONE = ()


def slices(*areas: tuple[int, ...]) -> torch.Tensor:
    """Masks (S, 8, 8) with these columns in the tumour, of each slice."""
    masks = torch.zeros(len(areas), 8, 8, dtype=torch.bool)
    for mask, columns in zip(masks, areas, strict=True):
        mask[2:6, list(columns)] = True
    return masks


def of_metric(rows: list[Row], quantity: str) -> float:
    (value,) = [row.value for row in rows if row.quantity == quantity]
    return value


def test_dice_is_that_of_the_volume_and_by_slice_the_mean_over_slices_with_anything() -> None:
    truth = slices((1, 2, 3, 4), (1,), NONE, NONE)
    predicted = slices((1, 2, 3, 4), NONE, (6, 7), NONE)
    rows = overlap_rows("p", "tumour", predicted.float(), truth)
    assert of_metric(rows, "dice") == pytest.approx(2 * 16 / (20 + 24))
    assert of_metric(rows, "slice_dice") == pytest.approx((1 + 0 + 0) / 3)  # the last slice has nothing to be found


def test_a_patient_without_tumour_has_no_dice_and_by_slice_one_only_where_something_is_predicted() -> None:
    nothing = slices(NONE, NONE)
    right, wrong = (overlap_rows("p", "tumour", each.float(), nothing) for each in (nothing, slices((1,), NONE)))
    assert math.isnan(of_metric(right, "dice"))
    assert math.isnan(of_metric(right, "slice_dice"))
    assert math.isnan(of_metric(wrong, "dice"))
    assert of_metric(wrong, "slice_dice") == 0


def test_distances_are_in_pixels_in_the_plane_and_a_missed_slice_counts_as_its_diagonal() -> None:
    truth = slices((1, 2), (4,), NONE)
    predicted = slices((3, 4), NONE, (5,))
    row = distance_row("p", "tumour", predicted.float(), truth)
    assert row.value == pytest.approx((2 + math.hypot(8, 8)) / 2)
    assert math.isnan(distance_row("p", "tumour", predicted.float(), slices(NONE, NONE, NONE)).value)


def test_a_slice_is_scored_by_its_highest_probability() -> None:
    probability = torch.zeros(2, 4, 4)
    probability[0, 1, 1], probability[1, 0, 3] = 0.3, 0.7
    rows = overlap_rows("p", "tumour", probability, torch.zeros(2, 4, 4, dtype=torch.bool))
    scores = {row.target: row.value for row in rows if row.quantity == SCORE}
    assert scores == pytest.approx({"slice 1": 0.3, "slice 2": 0.7})


def presence(patients: int, slices: int) -> tuple[list[Row], np.ndarray, np.ndarray, np.ndarray]:
    """Rows of patients with different numbers of slices, the scores and truths, and the patient of each slice."""
    generator = np.random.default_rng(5)
    owner = np.repeat(np.arange(patients), generator.integers(2, slices, patients))
    truth = generator.integers(0, 2, len(owner))
    score = np.round(0.3 * truth + generator.random(len(owner)), 1)  # with ties
    rows = []
    for number, (patient, s, t) in enumerate(zip(owner, score, truth, strict=True)):
        where = (f"patient {patient}", f"slice {number}")
        rows += [Row(*where, SCORE, float(s)), Row(*where, TRUTH, float(t))]
    return rows, score, truth, owner


def test_presence_is_judged_over_all_slices_of_all_patients_together() -> None:
    rows, score, truth, _ = presence(7, 9)
    assert PRESENCE.reduce(rows) == pytest.approx(roc_auc_score(truth, score))
    assert math.isnan(PRESENCE.reduce([row for row in rows if row.quantity == SCORE or row.value == 1]))


def test_the_bootstrap_of_presence_draws_patients_with_all_their_slices() -> None:
    rows, score, truth, owner = presence(6, 9)
    drawn = np.random.default_rng(1).multinomial(6, [1 / 6] * 6, size=20).astype(float)
    found = figures_of(PRESENCE, rows, np.repeat(owner, 2), 6)(drawn)
    for times, figure in zip(drawn, found, strict=True):
        chosen = np.concatenate([np.flatnonzero(owner == patient).repeat(int(n)) for patient, n in enumerate(times)])
        assert figure == pytest.approx(roc_auc_score(truth[chosen], score[chosen]))


def test_a_table_has_one_figure_of_the_only_target_and_none_of_single_slices() -> None:
    generator = torch.Generator().manual_seed(3)
    results = {}
    for number in range(4):
        truth = slices((1, 2), NONE, (3,))
        probability = torch.rand(3, 8, 8, generator=generator)
        rows = [*overlap_rows(f"p{number}", "tumour", probability, truth)]
        results[f"site-{number % 2}", f"p{number}"] = [*rows, distance_row(f"p{number}", "tumour", probability, truth)]
    table = summarize(long_table("run", results), {f"p{n}": f"p{n}" for n in range(4)}, SLICE_METRICS)
    assert list(zip(table["metric"], table["site"], table["target"], strict=True)) == [
        (metric.name, site, "overall") for metric in SLICE_METRICS for site in ("pooled", "site-0", "site-1")
    ]
    assert table["value"].notna().all()
    assert set(table[table["site"] == "pooled"]["patients"]) == {4}
    assert (table["low"] < table["value"]).all()
