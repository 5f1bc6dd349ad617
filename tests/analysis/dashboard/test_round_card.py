"""The card of a run's rounds and its sites' rows, from records whose outcome is known."""

import re
from typing import Any

import pytest

from fedmed.analysis.dashboard.round_card import Kind, round_card, site_rows
from fedmed.analysis.dashboard.round_segments import MOST, segments_html
from fedmed.core.site_scores import KeyScore
from tests.analysis.dashboard.records import record

SITES = ("site-1", "site-2", "site-3")
KEY = KeyScore("val_dice", "Dice", ())
BOTH = {"site-1": 0.5, "site-2": 0.7}


def rounds(number: int) -> list[dict[str, Any]]:
    return [record(n, dict.fromkeys(SITES, 0.5)) for n in range(number)]


def test_a_run_that_goes_on_says_which_round_and_who_is_awaited() -> None:
    steps = {"site-1": (8, 8), "site-2": (3, 8)}
    card = round_card(rounds(2), 5, SITES, goes_on=True, steps=steps, age_s=0.5)
    assert (card.title, card.answered) == ("round 3 of 5", "1 of 3")
    assert card.waiting == "1 of 3 answered, waiting for site-2, site-3"
    assert card.rounds == ("complete", "complete", "goes on", "to come", "to come")
    assert (card.elapsed_s, card.mean_s, card.left_s) == (3.5, 1.5, 4.0)  # three rounds less half a second


def test_a_run_of_which_no_steps_are_known_claims_nothing() -> None:
    card = round_card(rounds(2), 5, SITES, goes_on=True, steps=None, age_s=1.0)
    assert (card.answered, card.waiting) == ("-", "")
    first = round_card([], 5, SITES, goes_on=True, steps=None, age_s=2.0)
    assert (first.title, first.mean_s, first.left_s, first.elapsed_s) == ("round 1 of 5", None, None, 2.0)


def test_a_run_that_is_over_does_not_go_on() -> None:
    ended = [*rounds(5), record(5, BOTH, final=True)]
    card = round_card(ended, 5, SITES, goes_on=False, steps=None, age_s=1e6)
    assert (card.title, card.left_s, card.elapsed_s) == ("5 of 5 rounds", None, 9.0)
    assert card.rounds == ("complete",) * 5
    failed = round_card(rounds(2), 5, SITES, goes_on=False, steps=None, age_s=1e6)
    assert failed.rounds == ("complete", "complete", "to come", "to come", "to come")


def test_the_scoring_of_the_final_model_is_no_round() -> None:
    assert round_card(rounds(5), 5, SITES, goes_on=True, steps=None, age_s=0.0).title == "the final model is scored"


def test_rounds_without_a_site_and_rounds_that_do_not_count_are_told_apart() -> None:
    records = [record(0, BOTH, refused={"site-3": "NaN"}), record(1, BOTH, failed=True), record(1, BOTH)]
    card = round_card(records, 3, SITES, goes_on=True, steps=None, age_s=0.0)
    assert card.rounds == ("without a site", "does not count", "complete", "goes on")


def test_a_site_is_left_out_since_the_first_round_of_its_absence() -> None:
    nan, late = {"refused": {"site-3": "its update was NaN"}}, {"refused": {"site-3": "no answer"}}
    records = [record(0, BOTH, **nan), rounds(2)[1], record(2, BOTH, **nan), record(3, BOTH, **late)]
    steps = {"site-1": (1, 4)}
    card = round_card(records, 5, SITES, goes_on=True, steps=steps, age_s=0.0)
    one, two, three = site_rows(records, SITES, KEY, {}, card, steps, 0.0)
    assert (three.state, three.why, three.last_seen) == ("left out since round 3", "no answer", "round 2")
    assert (one.state, one.last_seen, one.score, one.loss) == ("at work", "now: step 1 of 4", 0.5, 0.5)
    assert (two.state, two.last_seen, two.cases) == ("not heard of in this round", "round 4", "2 scored")


@pytest.mark.parametrize(("age", "state"), [(2.9, "at work"), (3.1, "late")])
def test_a_site_is_late_after_twice_the_mean_round(age: float, state: str) -> None:
    steps = {"site-1": (4, 4), "site-2": (1, 4)}
    card = round_card(rounds(2), 5, SITES, goes_on=True, steps=steps, age_s=age)
    rows = site_rows(rounds(2), SITES, KEY, {"site-1": {"training": 7, "validation": 2}}, card, steps, age)
    assert [row.state for row in rows[:2]] == ["answered", state]
    assert rows[0].cases == "7 training, 2 validation"


def test_counts_that_stay_at_the_sites_are_not_made_up() -> None:
    withheld = {"round": 0, "seconds": 1.0, "best": False, "sites": {"site-1": {"val_cases": 1}}}
    card = round_card([withheld], 5, SITES, goes_on=False, steps=None, age_s=0.0)
    row, other, _ = site_rows([withheld], SITES, KEY, {}, card, None, 0.0)
    assert (row.cases, row.score, row.loss, row.state) == ("-", None, None, "answered")
    assert (other.state, other.last_seen) == ("did not train in the last round", "-")


def test_the_strip_has_a_segment_a_round_or_a_group_that_shows_its_worst() -> None:
    few: list[Kind] = ["complete", "goes on", "to come"]
    assert segments_html(few).count("<span title=") == 3
    assert 'aria-label="rounds: 1 complete, 1 goes on, 1 to come"' in segments_html(few)
    many: list[Kind] = ["complete"] * 600
    many[299] = "does not count"
    strip = segments_html(many)
    assert strip.count("<span title=") == MOST
    assert re.findall(r'title="([^"]*): does not count"', strip) == ["rounds 291 to 300"]
