"""The cross-site matrix: the right number in the right cell, and sentences that say no more than it does."""

import math
from typing import Any

import pandas as pd
import pytest

from fedmed.core.site_scores import FigureForm, KeyScore
from fedmed.runs.cross_site_matrix import matrix, read_results, scores, sentences, table

SITES = ("site-1", "site-2", "site-10")
KEY = "val_dice"
SCORE = KeyScore(KEY, "Dice", ("TC", "WT", "ET"))
DICE = {  # by model and site
    "SRV_FL_global_model.pt": (0.5, 0.6, 0.7),
    "SRV_best_FL_global_model.pt": (0.55, 0.6, 0.7),
    "site-1": (0.4, 0.1, 0.2),
    "site-10": (0.3, 0.2, 0.9),
    "site-2": (0.6, 0.6, 0.1),
}
APART = {site: [f"case of {site}"] for site in SITES}


def results(without: tuple[str, ...] = ()) -> dict[str, dict[str, dict[str, Any]]]:
    """As FLARE writes them, the models in another order than the sites; a site has as many values as its number."""
    return {
        site: {
            model: {KEY: values[place], f"{KEY}_values": (1, 2, 10)[place], "val_cases": 4, "val_seconds": 0.5}
            for model, values in DICE.items()
            if model not in without
        }
        for place, site in enumerate(SITES)
    }


FORMS = {KEY: FigureForm(0.0, 1.0, per_case=3)}


def test_what_the_task_cannot_have_is_no_result() -> None:
    told: dict[str, Any] = results()
    told["site-1"]["site-2"] |= {KEY: 9e9, "site": 1.0, "val_x": 10**400}
    told["site-2"]["site-1"] = "nothing of the kind"
    told["site-10"] = [1, 2]
    found = read_results(told, FORMS, dict)
    assert set(found) == {"site-1", "site-2"}
    assert found["site-1"]["site-1"] == told["site-1"]["site-1"]
    assert found["site-1"]["site-2"] == {"val_cases": 4, "val_seconds": 0.5}
    assert "site-1" not in found["site-2"]
    assert not matrix(found, SITES, SCORE).empty


def test_every_score_is_in_its_row_and_column() -> None:
    found = matrix(results(), SITES, SCORE)
    assert list(found.index) == ["global", "best global", *SITES]
    assert list(found.columns) == [*SITES, "mean"]
    assert found.loc["site-10", "site-2"] == 0.2
    assert found.loc["site-2", "site-10"] == 0.1
    assert found.loc["global", "site-1"] == 0.5


def test_the_mean_weighs_sites_by_their_values() -> None:
    found = matrix(results(), SITES, SCORE)
    assert found.loc["global", "mean"] == pytest.approx((0.5 + 2 * 0.6 + 10 * 0.7) / 13)


def test_a_missing_score_is_no_number_and_neither_is_the_mean_over_it() -> None:
    told = results()
    del told["site-2"]["site-1"]
    told["site-10"]["site-2"][KEY] = math.nan
    found = matrix(told, SITES, SCORE)
    assert math.isnan(found.loc["site-1", "site-2"])
    assert found.loc[["site-1", "site-2"], "mean"].isna().all()
    assert found.drop(columns="mean").isna().sum().sum() == 2


def test_the_table_has_a_row_a_model_site_and_metric() -> None:
    found = table(results(), SITES)
    assert list(found.columns) == ["model", "site", "metric", "value", "cases"]
    assert len(found) == 5 * 3
    assert set(found["metric"]) == {KEY}  # counts and seconds are no scores
    assert (found["cases"] == 4).all()
    one = found[(found["model"] == "site-2") & (found["site"] == "site-10")]
    assert one["value"].tolist() == [0.1]


def test_only_finite_numbers_of_known_models_are_taken_over() -> None:
    told = results()
    told["site-1"]["site-1"] |= {"text": "high", "flag": True, "none": None, "endless": math.inf}
    told["site-1"]["SRV_init.pt"] = {KEY: 0.01}
    assert set(scores(told, SITES)["site-1"]["site-1"]) == {KEY, f"{KEY}_values", "val_cases", "val_seconds"}
    assert len(scores(told, SITES)) == 5


def test_of_nothing_the_matrix_is_empty() -> None:
    assert matrix({}, SITES, SCORE).empty
    assert table({}, SITES).empty


def test_each_site_reads_whether_the_global_model_is_better_than_its_own() -> None:
    told = sentences(matrix(results(), SITES, SCORE), KEY, APART)
    assert "no significance is claimed" in told[0]
    assert told[1:] == [
        "at site-1: global 0.5000, own 0.4000: the global model is better by 0.1000",
        "at site-2: global 0.6000, own 0.6000: neither is better",
        "at site-10: global 0.7000, own 0.9000: its own model is better by 0.2000",
    ]


def test_without_a_global_model_a_site_is_compared_with_the_best_of_the_others() -> None:
    found = matrix(results(without=("SRV_FL_global_model.pt", "SRV_best_FL_global_model.pt")), SITES, SCORE)
    told = sentences(found, KEY, APART)
    assert (
        told[1] == "at site-1: best of the others (site-2) 0.6000, own 0.4000: the model of site-2 is better by 0.2000"
    )
    assert told[3] == "at site-10: best of the others (site-1) 0.2000, own 0.9000: its own model is better by 0.7000"


@pytest.mark.parametrize(
    ("validation", "said"),
    [
        ({site: ["a", "b"][:: 1 if site == "site-1" else -1] for site in SITES}, True),  # in whatever order
        (APART, False),
        ({site: ["a", "b"][: 1 if site == "site-2" else 2] for site in SITES}, False),
    ],
)
def test_columns_that_cannot_differ_are_told(validation: dict[str, list[str]], said: bool) -> None:
    told = sentences(matrix(results(), SITES, SCORE), KEY, validation)
    assert ("equal by construction" in told[-1]) == said


@pytest.mark.parametrize("lost", ["site-1", "SRV_FL_global_model.pt"])
def test_where_a_score_is_missing_nothing_is_compared(lost: str) -> None:
    told = results()
    del told["site-1"][lost]
    lines = sentences(matrix(told, SITES, SCORE), KEY, APART)
    assert lines[1] == "at site-1: no comparison, a score is missing; training.log says why"
    assert lines[2].startswith("at site-2: global 0.6000")


def test_the_numbers_survive_the_csv(tmp_path: Any) -> None:
    table(results(), SITES).to_csv(tmp_path / "t.csv", index=False)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), table(results(), SITES))


def test_where_only_the_sites_know_their_cases_nothing_is_claimed_of_them() -> None:
    told = sentences(matrix(results(), SITES, SCORE), KEY, {})
    assert not any("same validation cases" in line for line in told)


def test_the_mean_of_a_score_from_sums_is_that_of_all_cases_together() -> None:
    key = KeyScore("val_x", "x", (), figures={"val_x": lambda sums: sums["part"] / sums["whole"]})
    sums = {"site-1": (1.0, 2.0), "site-2": (9.0, 10.0)}
    told = {
        site: {"site-1": {"val_x": part / whole, "val_x_sum_part": part, "val_x_sum_whole": whole, "val_cases": 1}}
        for site, (part, whole) in sums.items()
    }
    assert matrix(told, tuple(sums), key).loc["site-1", "mean"] == pytest.approx(10 / 12)
    assert set(table(told, tuple(sums))["metric"]) == {"val_x"}
