"""Figures of several findings: by hand, against scikit-learn and PyTorch, and of drawn cases as of repeated ones."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch.nn import functional as F

from fedmed.core.site_scores import CASES, mean_over_sites
from fedmed.tasks.scoring.metric import Row, RowsMetric
from fedmed.tasks.scoring.multi_label_metrics import (
    BRIER_SCORE,
    FINDING_CALIBRATION_ERROR,
    FINDING_LOSS,
    FINDING_METRICS,
    PREVALENCE,
    finding_rows,
)

FINDINGS = ("Edema", "Mass", "Hernia")


def drawn(cases: int = 60, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and truth of findings, (cases, 3) each."""
    generator = np.random.default_rng(seed)
    truth = (generator.random((cases, 3)) < (0.5, 0.3, 0.1)).astype(float)
    return np.clip(generator.random((cases, 3)) * 0.7 + 0.3 * truth, 0, 1), truth


def rows_of(scores: np.ndarray, truth: np.ndarray) -> list[Row]:
    cases = zip(scores.tolist(), truth.tolist(), strict=True)
    return [row for number, values in enumerate(cases) for row in finding_rows(f"case-{number}", FINDINGS, *values)]


def test_a_finding_has_a_score_and_a_truth_and_no_decision_without_a_threshold() -> None:
    assert {row.quantity for row in rows_of(*drawn(2))} == {"score", "truth"}


def test_the_loss_is_the_training_loss() -> None:
    scores, truth = drawn()
    expected = F.binary_cross_entropy(torch.tensor(scores), torch.tensor(truth)).item()
    assert FINDING_LOSS.reduce(rows_of(scores, truth)) == pytest.approx(expected)


def test_a_certain_mistake_has_a_finite_loss() -> None:
    found = FINDING_LOSS.reduce(finding_rows("x", ("p",), [1.0], [0.0]))
    assert 36 < found < 37
    assert FINDING_LOSS.form(("p",)).holds(found)


def test_the_brier_score_is_scikit_learns() -> None:
    scores, truth = drawn()
    of_each = [metrics.brier_score_loss(truth[:, k], scores[:, k]) for k in range(3)]
    assert BRIER_SCORE.reduce(rows_of(scores, truth)) == pytest.approx(np.mean(of_each))


def test_the_calibration_error_by_hand() -> None:
    """Two bins: 0.1 against none of two cases, and 0.9 against one of two."""
    rows = [row for case, score, truth in (("a", 0.1, 0), ("b", 0.1, 0), ("c", 0.9, 1), ("d", 0.9, 0))
            for row in finding_rows(case, ("p",), [score], [float(truth)])]  # fmt: skip
    assert FINDING_CALIBRATION_ERROR.reduce(rows) == pytest.approx((2 * 0.1 + 2 * 0.4) / 4)


def test_a_model_that_gives_the_prevalence_is_calibrated() -> None:
    _, truth = drawn()
    scores = np.broadcast_to(truth.mean(axis=0), truth.shape)
    assert FINDING_CALIBRATION_ERROR.reduce(rows_of(scores, truth)) == pytest.approx(0, abs=1e-12)


def test_the_prevalence_over_sites_is_that_of_all_cases() -> None:
    scores, truth = drawn()
    truth[:5, 0] = math.nan  # not known of some
    rows = rows_of(scores, truth)
    assert PREVALENCE.reduce(rows) == pytest.approx(np.nanmean(truth, axis=0).mean())
    reports = {
        site: {CASES: 30, **PREVALENCE.report(PREVALENCE.read(row for row in rows if (int(row.case[5:]) < 7) == first))}
        for site, first in (("site-1", True), ("site-2", False))
    }
    over_sites = mean_over_sites(reports, {PREVALENCE.reported: PREVALENCE.of_sums})
    assert over_sites["val_prevalence"] == pytest.approx(PREVALENCE.reduce(rows))


@pytest.mark.parametrize("metric", [m for m in FINDING_METRICS if isinstance(m, RowsMetric)], ids=lambda m: m.name)
def test_the_figures_of_a_draw_are_those_of_its_cases_repeated(metric: RowsMetric) -> None:
    scores, truth = drawn(30)
    truth[:3, 1] = math.nan
    rows = rows_of(scores, truth)
    counts = np.random.default_rng(2).multinomial(30, [1 / 30] * 30, size=10)
    assert metric.weighted is not None
    owners = [int(row.case.removeprefix("case-")) for row in rows]
    found = metric.weighted(rows)(counts[:, owners].astype(float))
    for value, count in zip(found, counts, strict=True):
        repeated = np.repeat(np.arange(30), count)
        assert value == pytest.approx(metric.reduce(rows_of(scores[repeated], truth[repeated])))


def test_without_cases_there_are_no_figures() -> None:
    assert all(math.isnan(metric.reduce([])) for metric in FINDING_METRICS)


def test_a_round_reports_no_f1_of_decisions_that_nobody_made() -> None:
    rows = rows_of(*drawn())
    reported = {metric.name for metric in FINDING_METRICS if metric.report(metric.read(rows))}
    assert reported == {metric.name for metric in FINDING_METRICS} - {"f1"}
