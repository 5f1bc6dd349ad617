"""The ledger: saving and loading change nothing, and what was edited or is another run's is refused."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from fedmed.core.errors import InputError
from fedmed.core.names import RUN_VARIABLE, STATE_VARIABLE
from fedmed.core.site_folder import site_folder
from fedmed.privacy.ledger import Entry, Ledger, all_booked, last_of_each, open_site_ledger, read_ledger, site_ledger

MECHANISM = {"name": "gaussian", "parameters": {"dp_clip": 1.0}}


def ledger() -> Ledger:
    entries = [Entry("site-1", n, 0.5, 0.5 * n, 0.5 * (n + 1), 1e-5, {"clip": 1.0}, {"cosine": 0.1}) for n in (1, 2)]
    return Ledger("run-001", MECHANISM, entries, [(1.1, 0.25, 7), (1.2, 1.0, 1)], {"clip": 0.7})


def test_saving_and_loading_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "privacy_ledger.json"
    ledger().save(path)
    assert read_ledger(path, "run-001", MECHANISM) == ledger()
    before = path.read_bytes()
    read_ledger(path).save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"epsilon_total": 1.0', '"epsilon_total": 0.1'),
        ('"run-001"', '"run-002"'),
        ("0.25", "0.2"),
        ('"format": 1', '"format": 2'),
    ],
)
def test_an_edited_ledger_is_refused(old: str, new: str, tmp_path: Path) -> None:
    path = tmp_path / "privacy_ledger.json"
    ledger().save(path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match="changed after it was written"):
        read_ledger(path)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"checksum": 3}', "\0"])
def test_what_is_no_ledger_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "privacy_ledger.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"no privacy ledger|was changed"):
        read_ledger(path)


def test_another_runs_ledger_is_refused_and_so_is_one_of_other_settings(tmp_path: Path) -> None:
    path = tmp_path / "privacy_ledger.json"
    ledger().save(path)
    with pytest.raises(InputError, match=r"belongs to run-001, this is run-002"):
        read_ledger(path, "run-002")
    with pytest.raises(InputError, match="other privacy settings"):
        read_ledger(path, "run-001", {**MECHANISM, "parameters": {"dp_clip": 2.0}})


def test_a_restarted_site_finds_its_ledger_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    monkeypatch.setenv(RUN_VARIABLE, "run-001")
    assert open_site_ledger("site-1", "job", MECHANISM).entries == []
    ledger().save(site_ledger("site-1", "job"))
    assert open_site_ledger("site-1", "job", MECHANISM) == ledger()
    assert open_site_ledger("site-2", "job", MECHANISM).entries == []
    monkeypatch.setenv(RUN_VARIABLE, "run-002")
    with pytest.raises(InputError, match="belongs to run-001"):
        open_site_ledger("site-1", "job", MECHANISM)


def test_diagnostics_travel_only_where_that_was_asked_for() -> None:
    entry = ledger().entries[0]
    assert entry.travelling(False)["diagnostics"] is None
    assert entry.travelling(True)["diagnostics"] == {"cosine": 0.1}
    assert Entry.from_plain(json.loads(json.dumps(entry.travelling(True)))) == entry


LONG = ["x" * 200] * 1000

WRONG: list[dict[str, Any] | None] = [
    None,
    *({"epsilon_total": bad} for bad in (math.nan, math.inf, -1.0, 1e301, 10**400, "1", b"1", True, [1.0])),
    *({"epsilon_next": bad} for bad in (math.inf, -0.1, 1e308, {})),
    *({"epsilon_round": bad} for bad in (-1.0, math.nan)),
    *({"delta": bad} for bad in (-1e-9, 1.1, math.nan, "1e-5")),
    *({"round": bad} for bad in ("1", 0, -1, 1.0, True, None, 10**10)),
    *({"site": bad} for bad in (None, 1, b"site-1", "x" * 201, "site\n1", "\ud800")),
    *({"facts": bad} for bad in (None, [], "x", {"x": math.nan}, {"x": b"1"}, {"x": {}}, {"x": {1}}, {"x": [1]})),
    *({"facts": {name: 1.0}} for name in ("X", "a b", "", "x" * 65, 1, b"x")),
    *({"facts": {"x": bad}} for bad in (10**400, math.inf, "x" * 201, "\x1b", LONG, ["x"] * 5000)),
    {"facts": {f"fact_{number}": 1.0 for number in range(41)}},
    *({"diagnostics": bad} for bad in ({"x": "1"}, {"x": math.nan}, {1: 1.0}, [], 0, "")),
    {"more": 1},
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{wrong!s:.40}")
def test_an_entry_of_another_form_is_refused(wrong: dict[str, Any] | None) -> None:
    good = ledger().entries[0].travelling(False)
    wrong = {"site": "site-1"} if wrong is None else {**good, **wrong}
    with pytest.raises(InputError, match="An entry of a privacy ledger has ") as caught:
        Entry.from_plain(wrong)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("wrong", [None, 5, "text", [1], b"x"])
def test_what_is_no_entry_at_all_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="An entry of a privacy ledger has "):
        Entry.from_plain(wrong)


FACTS: list[dict[str, Any]] = [
    {"clip": 1.0, "noise_multiplier": 1, "steps": 12},
    {"released_share": 0.579, "release_epsilon": 4.2e6, "unnoised_scalars": ["temperature"]},
    {"excluded": ["layer.0.weight"], "passed_as_they_are": [f"encoder.block.{n}.running_var" for n in range(700)]},
]


@pytest.mark.parametrize("facts", FACTS)
def test_what_mechanisms_book_is_of_that_form(facts: dict[str, Any]) -> None:
    entry = Entry("site-1", 4, 0.0, 5e9, None, 0.0, facts, {"cosine": None, "not_finite": 0})
    assert Entry.from_plain(json.loads(json.dumps(entry.travelling(True)))) == entry


def test_what_sites_booked_for_an_unfinished_round_is_taken_over(tmp_path: Path) -> None:
    entries = [Entry(site, n, 1.0, 1.0 * n, n + 1.0, 1e-5, {}, {"cosine": 0.1}) for site in ("a", "b") for n in (1, 2)]
    for site in ("a", "b"):
        own = [entry for entry in entries if entry.site == site]
        Ledger("run-001", MECHANISM, own).save(tmp_path / site / "privacy_ledger.json")
    run = Ledger("run-001", MECHANISM, entries[:1])
    found = all_booked(run, tmp_path)
    assert sorted((entry.site, entry.round) for entry in found) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert all(entry.diagnostics is None for entry in found if entry not in run.entries)
    assert all_booked(run, tmp_path / "nowhere") == run.entries


def test_a_real_site_keeps_a_ledger_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    assert site_ledger("site-1", "job-1") != site_ledger("site-1", "job-2")
    monkeypatch.delenv(STATE_VARIABLE)
    monkeypatch.chdir(tmp_path)
    assert tmp_path in site_ledger("site-1", "job-1").parents


def test_the_last_entry_of_each_site_and_the_total() -> None:
    both = [*ledger().entries, Entry("site-2", 1, 3.0, 3.0, 4.0, 1e-5)]
    assert {site: entry.round for site, entry in last_of_each(both).items()} == {"site-1": 2, "site-2": 1}
    assert Ledger("r", {}, both).total == 3.0
    assert Ledger("r", {}).total == 0.0


BAD_NAMES = ["", ".", "..", "../up", "/etc/passwd", "a/b", "a\\b", "a b", "a\n", "tschüß", "a\0"]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("name", [*BAD_NAMES, "a.b"])
def test_a_job_cannot_lead_a_site_to_another_folder(
    name: str, named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    if named:
        monkeypatch.setenv(RUN_VARIABLE, "run-001")
    for place in (site_folder, site_ledger):
        with pytest.raises(InputError, match="The run is called"):
            place("site-1", name)


@pytest.mark.parametrize("name", [*BAD_NAMES, "a."])
def test_nor_to_another_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    with pytest.raises(InputError, match="The ledger's file is called"):
        site_ledger("site-1", "job", name)


@pytest.mark.parametrize("name", ["simulate_job", "1f0c7e52-8d3b-4a0e-9d1b-5c0f3c6c7a11", "20261122-030843-0a1b2c3d"])
def test_the_names_that_flare_and_runs_have_are_folders(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    assert site_folder("site-1", name) == tmp_path / name / "site-1"
    assert site_ledger("site-1", name, "of_the-site.2.json").parent == tmp_path / name / "site-1"
