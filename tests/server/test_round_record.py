"""The record of a round: each site's scores and bytes, in JSON, and no ledger entry in another site's name."""

import json
import math
from dataclasses import asdict

import pytest

from fedmed.privacy.ledger import Entry
from fedmed.server.round_record import RoundRecord, completes_a_round


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


def test_what_is_no_finite_number_is_left_out(record: RoundRecord) -> None:
    record.take("site-1", {"val_dice": math.nan, "a": math.inf, "b": "0.5", "c": None, "d": 1.0, "e": True}, 0)
    assert record.document(101.0)["sites"] == {"site-1": {"val_cases": 1, "d": 1.0}}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -2, None, "3", True])
def test_a_count_that_is_none_counts_nothing(record: RoundRecord, bad: object) -> None:
    record.take("site-1", {"val_cases": bad, "val_dice_values": bad, "val_dice": 0.5}, 0)
    assert record.document(101.0)["sites"] == {"site-1": {"val_cases": 0, "val_dice_values": 0, "val_dice": 0.5}}


def test_a_site_that_sent_no_scores_is_in_the_record(record: RoundRecord) -> None:
    record.take("site-2", None, sent=8)
    assert record.document(101.0)["sites"] == {"site-2": {"val_cases": 1}}


def test_a_sites_own_entry_is_taken_and_no_other(record: RoundRecord) -> None:
    mine = Entry("site-1", 4, 0.5, 1.0, 1.5, 1e-5)
    assert record.take_entry("site-1", asdict(mine)) is None
    assert record.take_entry("site-2", None) is None
    assert "a ledger entry of site-1" in (record.take_entry("site-2", asdict(mine)) or "")
    assert (record.take_entry("site-2", {"site": "site-2"}) or "").startswith("site-2: ")
    assert record.entries == {"site-1": mine}
    assert record.document(101.0)["privacy"] == {"site-1": asdict(mine)}


def test_a_round_that_failed_and_the_final_scoring_made_no_model(record: RoundRecord) -> None:
    assert completes_a_round(record.document(101.0, refused={}))
    assert not completes_a_round(record.document(101.0, failed=True))
    assert not completes_a_round(record.document(101.0, final=True))
