"""The history: a round's row holds its training and the score of the model that came out of it."""

from typing import Any

import pytest

from fedmed.runs.history import after_round, best_of_each, best_round, epochs_of, rows, scores_of


def record(number: int, best: bool = False, sites: tuple[str, ...] = ("site-1", "site-2"), **facts: Any) -> Any:
    """A round in which site-n reports a score and a loss that tell round and site."""
    reports: dict[str, dict[str, float]] = {}
    for site in sites:
        reports[site] = {"val_cases": 2, "val_dice": number + int(site[-1]) / 10}
        if not facts.get("final"):
            reports[site]["train_loss"] = -(number + int(site[-1]) / 10)
    return {"round": number, "seconds": 10.0 + number, "best": best, "sites": reports, **facts}


RUN = [record(0), record(1, best=True), record(2, final=True)]


def row(table: list[dict[str, Any]], number: int, site: str) -> dict[str, Any]:
    found = [r for r in table if (r["round"], r["site"]) == (number, site)]
    assert len(found) == 1
    return found[0]


def test_the_score_after_n_rounds_stands_with_the_training_of_round_n() -> None:
    table = rows(RUN)
    for number in (1, 2):
        for site, part in (("site-1", 0.1), ("site-2", 0.2)):
            found = row(table, number, site)
            assert found["val_dice"] == number + part
            assert found["train_loss"] == -(number - 1 + part)
            assert found["round_seconds"] == 10 + number - 1


def test_round_0_is_the_untrained_model() -> None:
    assert row(rows(RUN), 0, "site-1") == {"round": 0, "site": "site-1", "val_cases": 2, "val_dice": 0.1}


def test_there_is_a_row_a_round_and_site_in_order() -> None:
    run = [*[record(n) for n in range(11)], record(11, final=True)]
    assert [(r["round"], r["site"]) for r in rows(run)] == [(n, s) for n in range(12) for s in ("site-1", "site-2")]


def test_without_the_final_record_the_last_round_has_no_score() -> None:
    last = row(rows(RUN[:2]), 2, "site-1")
    assert last["train_loss"] == -1.1
    assert not any(name.startswith("val_") for name in last)


def test_a_learning_rate_stands_with_the_round_that_it_trained() -> None:
    run = [record(0, learning_rate=0.5), record(1, learning_rate=0.25), record(2, final=True)]
    rates = {(r["round"], r["site"]): r.get("learning_rate") for r in rows(run)}
    for site in ("site-1", "site-2"):
        assert [rates[number, site] for number in range(3)] == [None, 0.5, 0.25]


EPOCHS = {"site-1": [{"train_loss": 2.0, "val_dice": 0.5}, {"train_loss": 1.0}], "site-2": [{"train_loss": 3.0}]}


def test_a_rounds_epochs_stand_with_its_training_and_have_numbers() -> None:
    table = rows([record(0, epochs=EPOCHS), record(1, epochs=EPOCHS), record(2, final=True)])
    assert "epochs" not in row(table, 0, "site-1")
    for number in (1, 2):
        assert row(table, number, "site-1")["epochs"] == [
            {"epoch": 1, "train_loss": 2.0, "val_dice": 0.5},
            {"epoch": 2, "train_loss": 1.0},
        ]
    flat = epochs_of(table)
    assert [(each["round"], each["site"], each["epoch"], each["train_loss"]) for each in flat] == [
        *((number, *rest) for number in (1, 2) for rest in (("site-1", 1, 2.0), ("site-1", 2, 1.0), ("site-2", 1, 3.0)))
    ]
    assert epochs_of(rows(RUN)) == []


def test_a_refused_site_keeps_its_row_with_the_reason() -> None:
    table = rows([record(0, refused={"site-2": "it holds NaN", "site-3": "no steps"}), record(1, final=True)])
    assert row(table, 1, "site-2")["refused"] == "it holds NaN"
    assert row(table, 1, "site-2")["val_dice"] == 1.2
    assert row(table, 1, "site-3") == {"round": 1, "site": "site-3", "refused": "no steps"}
    assert "refused" not in row(table, 1, "site-1")


def test_how_much_a_site_counted_and_its_attack_stand_with_the_rounds_training() -> None:
    facts = {"counted": {"site-1": 1.0, "site-2": 0.25}, "attack": {"site-2": "scaled"}}
    table = rows([record(0, **facts), record(1, final=True)])
    assert (row(table, 1, "site-2")["counted"], row(table, 1, "site-2")["attack"]) == (0.25, "scaled")
    assert row(table, 1, "site-1")["counted"] == 1.0
    assert "attack" not in row(table, 1, "site-1")
    assert "counted" not in row(table, 0, "site-2")


def test_a_site_that_reported_only_scores_does_not_break_the_history() -> None:
    silent = {"round": 0, "seconds": 1.0, "best": False, "sites": {"site-1": {"val_cases": 1}}}
    assert row(rows([silent]), 0, "site-1")["val_cases"] == 1


def test_a_site_may_miss_a_round() -> None:
    table = rows([record(0), record(1, sites=("site-1",)), record(2, final=True)])
    assert [r["round"] for r in table if r["site"] == "site-2"] == [0, 1, 2]
    assert "val_dice" not in row(table, 1, "site-2")


def test_the_mean_of_a_record_weighs_sites_by_their_cases() -> None:
    sites = {"a": {"val_cases": 3, "val_dice": 0.8}, "b": {"val_cases": 1, "val_dice": 0.4}, "c": {}}
    assert scores_of({"sites": sites}) == {"val_dice": pytest.approx(0.7)}


@pytest.mark.parametrize(("marks", "expected"), [([], None), ([0, 0], None), ([0, 1, 0, 1, 0], 3), ([0, 0, 1], 2)])
def test_the_best_round_is_the_last_one_marked(marks: list[int], expected: int | None) -> None:
    assert best_round([record(number, best=bool(mark)) for number, mark in enumerate(marks)]) == expected


def test_the_megabytes_of_all_rows_are_all_that_was_moved() -> None:
    moved = {"site-1": {"received": 8_000_000, "sent": 4_000_000}, "site-2": {"received": 8_000_000, "sent": 0}}
    scored = {site: {"received": 8_000_000, "sent": 0} for site in moved}
    table = rows([record(0, bytes=moved), record(1, bytes=moved), record(2, final=True, bytes=scored)])
    assert "megabytes_sent" not in row(table, 0, "site-1")
    assert (row(table, 1, "site-1")["megabytes_received"], row(table, 1, "site-1")["megabytes_sent"]) == (8, 4)
    assert (row(table, 2, "site-1")["megabytes_received"], row(table, 2, "site-1")["megabytes_sent"]) == (16, 4)
    assert row(table, 2, "site-2")["megabytes_sent"] == 0
    assert max(each["round"] for each in table) == 2


def test_the_best_of_each_site_is_its_own_first_highest_trained_model() -> None:
    scores = [(0.9, 0.1), (0.2, 0.3), (0.5, None), (0.5, 0.2)]
    run = [
        {"round": n, "sites": {"site-1": {"val_dice": one}, "site-2": {} if two is None else {"val_dice": two}}}
        for n, (one, two) in enumerate(scores)
    ]
    assert best_of_each(run, "val_dice") == {"site-1": 2, "site-2": 1}
    assert best_of_each(run[:1], "val_dice") == {}


def test_the_record_after_n_rounds_is_found_by_its_number() -> None:
    assert after_round(RUN, 1) is RUN[1]
    assert after_round(RUN, 7) is None
