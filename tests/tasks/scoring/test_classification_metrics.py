"""Figures of classification: by hand, against scikit-learn, and the same however sites divide the cases."""

import math

import numpy as np
import pytest
import torch
from monai.metrics import CalibrationErrorMetric
from sklearn import metrics

from fedmed.core.site_scores import CASES, mean_over_sites
from fedmed.tasks.scoring.classification_metrics import (
    ACCURACY,
    AUROC,
    AVERAGE_PRECISION,
    BALANCED_ACCURACY,
    BINS,
    CALIBRATION_ERROR,
    CLASS_METRICS,
    F1,
    PRECISION,
    RECALL,
    class_rows,
    weighted_auroc,
    weighted_calibration_error,
)
from fedmed.tasks.scoring.metric import Row, SumsMetric
from fedmed.tasks.scoring.multi_label_metrics import finding_rows

CLASSES = ("a", "b", "c")
FINDINGS = ("Edema", "Mass", "Hernia")


def drawn(cases: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[Row]]:
    """Probabilities (cases, 3), the true class of each case, and the rows."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(3, size=cases)
    logits = generator.normal(size=(cases, 3)) + 1.2 * np.eye(3)[truth]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = [row for n in range(cases) for row in class_rows(f"case-{n}", CLASSES, scores[n].tolist(), int(truth[n]))]
    return scores, truth, rows


def labelled(cases: int = 60, seed: int = 1) -> tuple[np.ndarray, np.ndarray, list[Row]]:
    """Probabilities (cases, 3) and truth (cases, 3) of findings, and the rows."""
    generator = np.random.default_rng(seed)
    truth = (generator.random((cases, 3)) < (0.5, 0.3, 0.1)).astype(float)
    scores = np.clip(generator.random((cases, 3)) * 0.7 + 0.3 * truth, 0, 1)
    return scores, truth, rows_of_findings(scores, truth)


def rows_of_findings(scores: np.ndarray, truth: np.ndarray) -> list[Row]:
    """The rows of cases with any number of findings, each decided for above one half."""
    cases = zip(scores.tolist(), truth.tolist(), strict=True)
    rows = [row for n, values in enumerate(cases) for row in finding_rows(f"case-{n}", FINDINGS, *values)]
    decided = [row._replace(quantity="predicted", value=float(row.value > 0.5)) for row in rows]
    return [*rows, *(each for each, row in zip(decided, rows, strict=True) if row.quantity == "score")]


def test_the_rows_of_a_class_are_its_probabilities_the_decision_and_the_truth() -> None:
    rows = class_rows("x", CLASSES, [0.2, 0.5, 0.3], 2)
    values = {(row.quantity, row.target): row.value for row in rows}
    assert [values["score", name] for name in CLASSES] == [0.2, 0.5, 0.3]
    assert [values["predicted", name] for name in CLASSES] == [0, 1, 0]
    assert [values["truth", name] for name in CLASSES] == [0, 0, 1]
    assert len(rows) == 9


def test_of_several_classes_the_figures_are_scikit_learns() -> None:
    scores, truth, rows = drawn()
    decided = scores.argmax(axis=1)
    assert ACCURACY.reduce(rows) == pytest.approx(metrics.accuracy_score(truth, decided))
    assert F1.reduce(rows) == pytest.approx(metrics.f1_score(truth, decided, average="macro"))
    assert PRECISION.reduce(rows) == pytest.approx(metrics.precision_score(truth, decided, average="macro"))
    assert RECALL.reduce(rows) == pytest.approx(metrics.recall_score(truth, decided, average="macro"))
    assert AUROC.reduce(rows) == pytest.approx(metrics.roc_auc_score(truth, scores, multi_class="ovr"))
    assert BALANCED_ACCURACY.reduce(rows) == pytest.approx(metrics.balanced_accuracy_score(truth, decided))


def test_a_class_that_no_case_has_has_no_figure_even_where_it_is_decided_for() -> None:
    decisions = [("a", "a"), ("a", "a"), ("b", "b"), ("b", "c")]  # nothing is of class c
    rows = [
        row
        for number, (truth, decided) in enumerate(decisions)
        for row in class_rows(
            f"case-{number}", CLASSES, 0.2 + 0.4 * np.eye(3)[CLASSES.index(decided)], "abc".index(truth)
        )
    ]
    true, made = ([pair[side] for pair in decisions] for side in (0, 1))
    of_c = [row for row in rows if row.target == "c"]
    for metric in (BALANCED_ACCURACY, PRECISION, RECALL, F1, AUROC):
        assert math.isnan(metric.reduce(of_c)), metric.name
    found = metrics.precision_recall_fscore_support(
        true, made, labels=["a", "b"], average="macro", zero_division=np.nan
    )
    assert (PRECISION.reduce(rows), RECALL.reduce(rows), F1.reduce(rows)) == pytest.approx(found[:3])
    assert BALANCED_ACCURACY.reduce(rows) == RECALL.reduce(rows) == 0.75


def test_the_calibration_error_is_monais_of_the_highest_probability() -> None:
    scores, truth, rows = drawn(300)
    highest = torch.tensor(scores.max(axis=1))[None, None]
    right = torch.tensor(scores.argmax(axis=1) == truth, dtype=torch.float64)[None, None]
    monais = CalibrationErrorMetric(num_bins=BINS, include_background=True)
    monais(highest, right)
    assert CALIBRATION_ERROR.reduce(rows) == pytest.approx(float(monais.aggregate()), abs=1e-6)
    of_b = [row for row in rows if row.target == "b"]
    monais.reset()
    chosen = torch.tensor(scores.argmax(axis=1) == 1)
    monais(highest[..., chosen], right[..., chosen])
    assert CALIBRATION_ERROR.reduce(of_b) == pytest.approx(float(monais.aggregate()), abs=1e-6)


def test_the_calibration_error_of_made_up_cases_is_that_by_hand() -> None:
    rows = [
        *class_rows("w", CLASSES, [0.9, 0.1, 0.0], 0),
        *class_rows("x", CLASSES, [0.9, 0.1, 0.0], 1),
        *class_rows("y", CLASSES, [0.2, 0.7, 0.1], 1),
        *class_rows("z", CLASSES, [1.0, 0.0, 0.0], 0),
    ]
    assert CALIBRATION_ERROR.reduce(rows) == pytest.approx((abs(1 - 1.8) + abs(1 - 0.7) + 0) / 4)
    assert math.isnan(CALIBRATION_ERROR.reduce([]))
    assert (CALIBRATION_ERROR.is_share, CALIBRATION_ERROR.better) == (True, "lower")


def test_of_findings_the_figures_are_scikit_learns() -> None:
    scores, truth, rows = labelled()
    assert AUROC.reduce(rows) == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert AVERAGE_PRECISION.reduce(rows) == pytest.approx(metrics.average_precision_score(truth, scores))
    assert F1.reduce(rows) == pytest.approx(metrics.f1_score(truth, scores > 0.5, average="macro"))
    one = [row for row in rows if row.target == "Mass"]
    assert AUROC.reduce(one) == pytest.approx(metrics.roc_auc_score(truth[:, 1], scores[:, 1]))


def test_a_finding_that_is_not_known_of_a_case_is_left_out_there() -> None:
    scores, truth, rows = labelled()
    truth[:10, 0] = math.nan
    unknown = rows_of_findings(scores, truth)
    expected = [metrics.roc_auc_score(truth[10:, 0], scores[10:, 0])]
    expected += [metrics.roc_auc_score(truth[:, k], scores[:, k]) for k in (1, 2)]
    assert AUROC.reduce(unknown) == pytest.approx(np.mean(expected))
    assert AUROC.reduce(unknown) != pytest.approx(AUROC.reduce(rows))
    assert F1.reduce([row for row in unknown if row.target == "Edema"]) == pytest.approx(
        metrics.f1_score(truth[10:, 0], scores[10:, 0] > 0.5)
    )


def test_a_target_whose_cases_are_all_alike_has_no_area_and_the_others_keep_theirs() -> None:
    rows = [*finding_rows("x", ("p", "q"), [0.9, 0.2], [1, 0]), *finding_rows("y", ("p", "q"), [0.1, 0.3], [0, 0])]
    assert AUROC.reduce(rows) == 1
    assert math.isnan(AUROC.reduce([row for row in rows if row.target == "q"]))
    assert AUROC.report(AUROC.read([row for row in rows if row.target == "q"]), "q") == {}


@pytest.mark.parametrize("sites", [1, 2, 5, 60])
def test_figures_from_sums_are_those_of_all_rows_however_cases_are_dealt(sites: int) -> None:
    _, _, rows = drawn()
    sums = [metric for metric in CLASS_METRICS if isinstance(metric, SumsMetric)]
    reports = {}
    for site in range(sites):
        names = {f"case-{n}" for n in range(site, 60, sites)}
        own = [row for row in rows if row.case in names]
        reports[f"site-{site}"] = {CASES: len(names)}
        for metric in sums:
            reports[f"site-{site}"] |= metric.report(metric.read(own))
    found = mean_over_sites(reports, {metric.reported: metric.of_sums for metric in sums})
    assert found == {metric.reported: pytest.approx(metric.reduce(rows), abs=1e-12) for metric in sums}


@pytest.mark.parametrize("ties", [False, True])
def test_many_draws_at_once_have_the_areas_of_each_draw(ties: bool) -> None:
    scores, truth, rows = labelled(30)
    if ties:
        scores = scores.round(1)
        rows = rows_of_findings(scores, truth)
    generator = np.random.default_rng(2)
    counts = generator.multinomial(30, [1 / 30] * 30, size=20)
    number = {f"case-{n}": n for n in range(30)}
    weights = counts[:, [number[row.case] for row in rows]].astype(float)
    for found, count in zip(weighted_auroc(rows)(weights), counts, strict=True):
        areas = [
            metrics.roc_auc_score(truth[:, k], scores[:, k], sample_weight=count)
            for k in range(3)
            if 0 < (truth[:, k] * count).sum() < count.sum()
        ]
        assert found == pytest.approx(np.mean(areas))
    assert np.isnan(weighted_auroc(rows)(np.zeros((2, len(rows))))).all()


def test_many_draws_at_once_have_the_calibration_error_of_each_draw() -> None:
    _, _, rows = drawn(30)
    counts = np.random.default_rng(2).multinomial(30, [1 / 30] * 30, size=20)
    weights = counts[:, [int(row.case.removeprefix("case-")) for row in rows]].astype(float)
    for found, count in zip(weighted_calibration_error(rows)(weights), counts, strict=True):
        repeated = [
            row._replace(case=f"{row.case}-{n}")
            for row in rows
            for n in range(count[int(row.case.removeprefix("case-"))])
        ]
        assert found == pytest.approx(CALIBRATION_ERROR.reduce(repeated))


def test_only_areas_and_calibration_need_all_rows() -> None:
    needing = {metric.name for metric in CLASS_METRICS if metric.combines == "rows"}
    assert needing == {"auroc", "calibration_error"}
