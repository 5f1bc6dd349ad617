"""Means over cases and sites."""

import math

import pytest

from fedmed.core.site_scores import CASES, mean_of_values, mean_over_sites, report_of_values


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
