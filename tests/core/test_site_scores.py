"""Means over cases and sites, and figures from the sum of the sites' sums."""

import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from fedmed.core.site_scores import (
    CASES,
    KeyScore,
    is_figure,
    mean_of_values,
    mean_over_sites,
    report_of_cases,
    report_of_values,
    score_name,
)


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
        f"site-{i}": {**report_of_values("val_dice", values[i::sites]), CASES: len(values[i::sites])}
        for i in range(sites)
    }
    assert mean_over_sites(told)["val_dice"] == pytest.approx((0.9 + 0.2 + 0.7 + 0.4 + 0.1) / 5, abs=1e-12)


def test_a_report_has_means_and_how_many_values_they_are_of() -> None:
    assert report_of_values("a", [1.0, math.nan, 0.5]) == {"a": 0.75, "a_values": 2}
    assert report_of_values("b", [math.nan]) == report_of_values("c", []) == {}


def test_sites_that_state_no_cases_weigh_the_same() -> None:
    assert mean_over_sites({"a": {"x": 1.0}, "b": {"x": 2.0}}) == {"x": 1.5}
    assert mean_over_sites({}) == {}


def ratio(sums: Mapping[str, float]) -> float:
    return sums["part"] / sums["whole"] if sums["whole"] else math.nan


def test_a_figure_from_sums_is_that_of_the_sites_sums_together() -> None:
    sites = {
        "a": report_of_cases("val_r", 0.5, 3, {"part": 1, "whole": 2}),
        "b": report_of_cases("val_r", 0.9, 3, {"part": 9, "whole": 10}),
        "c": report_of_cases("val_r", math.nan, 2, {"part": 0, "whole": 0}),
    }
    assert "val_r" not in sites["c"]
    assert mean_over_sites(sites, {"val_r": ratio}) == {"val_r": pytest.approx(10 / 12)}
    assert mean_over_sites(sites) == {"val_r": pytest.approx(0.7)}  # who does not know the figure averages it
    assert mean_over_sites({"c": sites["c"]}, {"val_r": ratio}) == {}


def test_only_a_figure_of_a_validation_is_one() -> None:
    names = ["val_x", "val_x_values", "val_x_sum_part", "val_cases", "val_seconds", "train_loss", "val_x_tc"]
    assert [name for name in names if is_figure(name)] == ["val_x", "val_x_tc"]


def test_the_name_of_a_figure_is_in_lower_case_without_spaces() -> None:
    assert score_name("auroc") == "val_auroc"
    assert score_name("auroc", "Pleural Thickening") == "val_auroc_pleural_thickening"
    assert KeyScore("val_auroc", "AUROC", ("Pleural Thickening",)).of("Pleural Thickening") == (
        "val_auroc_pleural_thickening"
    )


def test_it_needs_neither_monai_nor_scipy() -> None:
    code = "import sys; import fedmed.core.site_scores; print({'monai', 'scipy', 'torch'} & set(sys.modules))"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": f"{root}/src"}
    )
    assert done.stdout.strip() == "set()", done.stderr
