"""The best model: every case counts once, the untrained model is no candidate, the final scoring takes part."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from fedmed.core.site_scores import FigureForm, Figures, mean_over_sites
from fedmed.server.best_model import BestModel
from fedmed.server.round_record import RoundRecord
from fedmed.server.site_reports import read_report

Report = dict[str, Any]
FORMS = {"val_dice": FigureForm(0.0, 1.0, 3), "val_f1": FigureForm(0.0, 1.0, sums=("hits", "errors"))}


def taken(record: RoundRecord, site: str, report: Report, figures: Callable[[], Figures] = dict) -> None:
    """Take a site's report as the server does."""
    record.take(site, read_report(report, FORMS, figures).figures, 0)


def offered(best: BestModel, number: int, *reports: Report | None) -> float:
    """Offer the model that so many rounds made, with what each site sent of it; the best score so far."""
    record = RoundRecord(number, [f"site-{n}" for n in range(len(reports))], 0, split=False)
    for place, report in enumerate(reports):
        taken(record, f"site-{place}", report or {}, best._figures)
    best.update(record.scores, number)
    return best.score


def chosen(*rounds: tuple[Report | None, ...]) -> list[int | None]:
    """After each round, from 1 on, how many rounds made the best model."""
    best, found = BestModel("val_dice"), []
    for number, reports in enumerate(rounds, start=1):
        offered(best, number, *reports)
        found.append(best.rounds)
    return found


@pytest.fixture
def best() -> BestModel:
    return BestModel("val_dice")


def test_a_score_counts_as_often_as_it_has_cases(best: BestModel) -> None:
    reports = ({"val_dice": 0.9, "val_cases": 1}, {"val_dice": 0.5, "val_cases": 3})
    assert offered(best, 1, *reports) == pytest.approx((0.9 + 3 * 0.5) / 4)


def test_where_values_are_counted_they_weigh_and_not_the_cases(best: BestModel) -> None:
    one = {"val_dice": 0.9, "val_cases": 9, "val_dice_values": 1}
    assert offered(best, 1, one, {"val_dice": 0.5, "val_cases": 9, "val_dice_values": 3}) == pytest.approx(0.6)


def test_a_site_that_states_no_cases_counts_as_one(best: BestModel) -> None:
    assert offered(best, 1, {"val_dice": 0.9}, {"val_dice": 0.5, "val_cases": 1}) == pytest.approx(0.7)


def test_the_untrained_model_is_no_candidate(best: BestModel) -> None:
    assert not best.update({"site-1": {"val_dice": 0.9, "val_cases": 1}}, 0)
    assert (best.score, best.rounds) == (-math.inf, None)
    assert best.update({"site-1": {"val_dice": 0.1, "val_cases": 1}}, 1)
    assert (best.score, best.rounds) == (0.1, 1)


def test_only_a_better_model_takes_its_place() -> None:
    scores = [0.5, 0.4, 0.5, 0.6, 0.2]
    assert chosen(*(({"val_dice": dice, "val_cases": 2},) for dice in scores)) == [1, 1, 1, 4, 4]


def test_it_goes_on_from_a_checkpoint(best: BestModel) -> None:
    best.restore(0.5, 3)
    assert not best.update({"site-1": {"val_dice": 0.5}}, 4)
    assert best.update({"site-1": {"val_dice": 0.51}}, 5)
    assert best.rounds == 5


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 9e9, 1.01, -0.1, 10**400, None, "0.9", True])
def test_a_score_that_is_no_number_is_left_out(best: BestModel, bad: Any) -> None:
    reports = ({"val_dice": bad, "val_cases": 9}, {"val_dice": 0.5, "val_cases": 1})
    assert offered(best, 1, *reports) == pytest.approx(0.5)


@pytest.mark.parametrize("count", ["val_cases", "val_dice_values"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, 0, -1, 1.5, 1e12, 10**400, None, "3", True])
def test_a_number_of_cases_that_is_no_weight_is_left_out(best: BestModel, count: str, bad: Any) -> None:
    reports = ({"val_dice": 0.9, count: bad}, {"val_dice": 0.5, "val_cases": 1})
    assert offered(best, 1, *reports) == pytest.approx(0.5)


def test_an_answer_without_a_score_is_left_out(best: BestModel) -> None:
    reports = (None, {"val_dice": 0.5, "val_cases": 1}, {"val_loss": 0.1, "val_cases": 5})
    assert offered(best, 1, *reports) == pytest.approx(0.5)


@pytest.mark.parametrize("reports", [(), (None,), ({"val_loss": 0.1},), ({"val_dice": 0.9, "val_cases": 0},)])
def test_a_round_that_nobody_scored_chooses_nothing(reports: tuple[Report | None, ...]) -> None:
    assert chosen(reports) == [None]


def test_rounds_do_not_mix() -> None:
    rounds = [({"val_dice": 0.5, "val_cases": 100},), ({"val_dice": 0.6, "val_cases": 1},)]
    assert chosen(*rounds) == [1, 2]


def test_the_score_that_chooses_is_the_one_that_is_shown(best: BestModel) -> None:
    """A run's table takes the mean of the record as it was written, with whatever a site sent amiss."""
    record = RoundRecord(2, ["a", "b", "c"], 0, split=False)
    for site, cases in (("a", 3), ("b", -1), ("c", math.nan)):
        taken(record, site, {"val_dice": {"a": 0.4, "b": 0.9, "c": 0.8}[site], "val_cases": cases})
    best.update(record.scores, 2)
    assert best.score == mean_over_sites(record.document(0.0)["sites"])["val_dice"] == pytest.approx(0.4)


def test_a_figure_that_follows_from_sums_is_made_of_the_sum_of_the_sites_sums() -> None:
    """F1 of 1 of 1 and of 1 of 3 wrong: not the mean of 1 and 0.4, and the task is asked only where there are sums."""
    asked = []

    def figures() -> Figures:
        asked.append(True)
        return {"val_f1": lambda sums: 2 * sums["hits"] / (2 * sums["hits"] + sums["errors"])}

    best = BestModel("val_f1", figures)
    offered(best, 1, {"val_loss": 0.1})
    assert asked == []
    reports = [(1, 0), (1, 3)]
    sent = [
        {"val_f1": 2 * hits / (2 * hits + errors), "val_f1_sum_hits": hits, "val_f1_sum_errors": errors, "val_cases": 4}
        for hits, errors in reports
    ]
    assert offered(best, 2, *sent) == pytest.approx(4 / 7)
    assert best.rounds == 2


def test_a_mean_out_of_the_metrics_range_chooses_nothing() -> None:
    best = BestModel("val_f1", lambda: {"val_f1": lambda sums: sums["hits"] * 100}, FORMS["val_f1"])
    assert not best.update({"site-1": {"val_f1_sum_hits": 1.0}}, 1)
    assert best.rounds is None
