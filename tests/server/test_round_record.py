"""The record of a round: each site's scores and bytes, in JSON, and no ledger entry in another site's name."""

import json
from dataclasses import asdict, replace

import pytest

from fedmed.privacy.ledger import Entry
from fedmed.server.round_record import RoundRecord, completes_a_round
from fedmed.server.words import MOST_CHARACTERS


@pytest.fixture
def record() -> RoundRecord:
    return RoundRecord(3, ["site-2", "site-1"], size=400, split=True, now=100.0)


def test_it_holds_what_each_site_measured_and_moved(record: RoundRecord) -> None:
    record.take("site-1", {"val_cases": 2, "val_dice": 0.5}, sent=40)
    document = json.loads(json.dumps(record.document(102.5, refused={"site-2": "late"}), allow_nan=False))
    assert document == {
        "round": 3,
        "seconds": 2.5,
        "best": False,
        "split": True,
        "privacy": {},
        "sites": {"site-1": {"val_cases": 2, "val_dice": 0.5}},
        "bytes": {"site-1": {"received": 400, "sent": 40}, "site-2": {"received": 400, "sent": 0}},
        "refused": {"site-2": "late"},
    }


def test_a_site_that_sent_no_scores_is_in_the_record(record: RoundRecord) -> None:
    record.take("site-2", {}, sent=8)
    assert record.document(101.0)["sites"] == {"site-2": {"val_cases": 1}}


def test_notes_are_short_lines_of_what_can_be_shown(record: RoundRecord) -> None:
    record.note("site-1", "")
    assert "notes" not in record.document(101.0)
    record.note("site-1", "one\n\x1b[31mthing")
    record.note("site-1", "x" * 10**6)
    found = record.document(101.0)["notes"]
    assert found["site-1"].startswith("one ?[31mthing; xxx")
    assert len(found["site-1"]) == MOST_CHARACTERS


MINE = Entry("site-1", 4, 0.5, 1.0, 1.5, 1e-5)


def test_a_sites_own_entry_is_taken_and_no_other(record: RoundRecord) -> None:
    assert record.take_entry("site-1", asdict(MINE), None) is None
    assert record.take_entry("site-2", None, None) is None
    assert "a ledger entry of site-1" in (record.take_entry("site-2", asdict(MINE), None) or "")
    assert "other names" in (record.take_entry("site-2", {"site": "site-2"}, None) or "")
    assert record.entries == {"site-1": MINE}
    assert record.document(101.0)["privacy"] == {"site-1": asdict(MINE)}


def test_an_entry_is_of_the_round_that_was_asked_for(record: RoundRecord) -> None:
    early = asdict(replace(MINE, round=3))
    assert record.take_entry("site-1", early, None) == "a ledger entry of round 3 in round 4"
    assert record.entries == {}


@pytest.mark.parametrize(("total", "taken"), [(3.44, False), (None, False), (0.0, False), (5.88, True), (7.0, True)])
def test_a_total_that_falls_is_refused(total: float | None, taken: bool, record: RoundRecord) -> None:
    last = replace(MINE, round=3, epsilon_total=5.88)
    fault = record.take_entry("site-1", asdict(replace(MINE, epsilon_total=total)), last)
    assert (fault is None) is taken
    assert taken or "had spent 5.88 before; restore it" in str(fault)


@pytest.mark.parametrize("changed", [{"delta": 1e-4}, {"delta": None}, {"epsilon_total": None}, {"epsilon_next": None}])
def test_where_the_mechanism_has_a_delta_epsilon_stands_at_it(
    changed: dict[str, float | None], record: RoundRecord
) -> None:
    fault = record.take_entry("site-1", asdict(replace(MINE, **changed)), None, delta=1e-5)  # type: ignore[arg-type]
    assert "states no epsilon at the run's delta of 1e-05" in str(fault)
    assert record.take_entry("site-1", asdict(MINE), None, delta=1e-5) is None


def test_a_round_that_failed_and_the_final_scoring_made_no_model(record: RoundRecord) -> None:
    assert completes_a_round(record.document(101.0, refused={}))
    assert not completes_a_round(record.document(101.0, failed=True))
    assert not completes_a_round(record.document(101.0, final=True))
