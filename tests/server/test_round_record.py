"""What is written down of a round: of whom what was heard, in JSON, and no ledger entry in another site's name."""

import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from nvflare.app_common.abstract.fl_model import FLModel

from fedmed.core.names import PRIVACY
from fedmed.privacy.ledger import Entry
from fedmed.server.round_record import RoundRecord


def result(site: str, entry: Any = None, metrics: dict[str, Any] | None = None, values: int = 0) -> FLModel:
    meta = {"client_name": site} | ({} if entry is None else {PRIVACY: entry})
    return FLModel(params={"w": np.zeros(values, np.float32)} if values else None, metrics=metrics or {}, meta=meta)


@pytest.fixture
def record() -> RoundRecord:
    return RoundRecord(3, ["site-2", "site-1"], size=400, split=True)


def test_it_holds_what_each_site_measured_and_moved(record: RoundRecord) -> None:
    record.take(result("site-1", metrics={"val_cases": 2, "val_dice": 0.5}, values=10))
    document = json.loads(json.dumps(record.document(refused={"site-2": "late"}), allow_nan=False))
    assert document.pop("seconds") >= 0
    assert document == {
        "round": 3,
        "best": False,
        "split": True,
        "privacy": {},
        "sites": {"site-1": {"val_cases": 2, "val_dice": 0.5}},
        "bytes": {"site-1": {"received": 400, "sent": 40}, "site-2": {"received": 400, "sent": 0}},
        "refused": {"site-2": "late"},
    }


def test_what_is_no_finite_number_is_left_out(record: RoundRecord) -> None:
    record.take(result("site-1", metrics={"val_dice": math.nan, "a": math.inf, "b": "0.5", "c": None, "d": 1.0}))
    assert record.document()["sites"] == {"site-1": {"val_cases": 1, "d": 1.0}}


def test_a_sites_own_entry_is_taken_and_no_other(record: RoundRecord) -> None:
    mine = Entry("site-1", 4, 0.5, 1.0, 1.5, 1e-5)
    assert record.take_entry(result("site-1", asdict(mine))) is None
    assert record.take_entry(result("site-2")) is None
    assert "a ledger entry of site-1" in (record.take_entry(result("site-2", asdict(mine))) or "")
    assert (record.take_entry(result("site-2", {"site": "site-2"})) or "").startswith("site-2: ")
    assert record.entries == {"site-1": mine}
    assert record.document()["privacy"] == {"site-1": asdict(mine)}
