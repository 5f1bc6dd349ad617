"""The report on runs made here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedmed.analysis.comparison.compared_run import metric_of, read_runs
from fedmed.analysis.comparison.comparison_report import (
    Compared,
    blocks,
    compared,
    comparison_numbers,
    runs_numbers,
)
from fedmed.analysis.comparison.run_cost import epsilon_text
from fedmed.analysis.comparison.table_document import markdown
from fedmed.privacy.ledger import Entry, Ledger

MakeRun = Callable[..., Path]
CASES = [f"case-{n}" for n in range(12)]


def dice(shift: float = 0.0) -> dict[str, dict[str, float]]:
    hard = np.linspace(0.3, 0.8, len(CASES)) + shift
    return {case: {"TC": float(value), "WT": float(value) + 0.1} for case, value in zip(CASES, hard, strict=True)}


def found_in(paths: list[Path]) -> Compared:
    runs = read_runs(paths, None, "validation")
    return compared(runs, metric_of(runs, "dice"))


def ledger(unit: str, *totals: float) -> dict[str, Any]:
    mechanism = {"name": "by hand", "unit": unit, "guarantee": "formal"}
    entries = [Entry(f"site-{n}", 1, total, total, total, 1e-5) for n, total in enumerate(totals)]
    return Ledger("run-001", mechanism, entries).document()


GAUSSIAN = ("--privacy", "gaussian", "--dp_noise_multiplier", "1")


def test_epsilon_is_that_of_the_site_that_spent_most_or_none_that_means_anything(scored_run: MakeRun) -> None:
    formal = {"model": "last", "ledger": ledger("site's update", 7.25, 9.5)}
    found = found_in(
        [
            scored_run(dice()),
            scored_run(dice(), "--enable_dp"),
            scored_run(dice(), *GAUSSIAN, **formal),
            scored_run(dice(), *GAUSSIAN, "--insecure_seeded_noise", **formal),
        ]
    )
    assert [epsilon_text(run.spent, run.experiment.privacy) for run in found.runs] == [
        "none",
        "heuristic: no meaningful epsilon",
        "9.5 at delta 1e-05",
        "none: the noise follows from the seed",
    ]
    numbers = runs_numbers(found)
    assert numbers["privacy_unit"].tolist() == ["none", "site's update", "site's update", "site's update"]
    assert numbers["privacy_epsilon"].tolist()[2] == 9.5


def test_a_run_whose_last_model_stands_for_the_best_is_marked(scored_run: MakeRun) -> None:
    paths = [scored_run(dice()), scored_run(dice(), *GAUSSIAN, model="last", ledger=ledger("site's update", 1.0))]
    text = markdown(blocks(found_in(paths)))
    assert "| run-002, last model |" in text
    assert "No best model was chosen of run-002, as scores stay at the sites" in text
    assert "A best model was chosen by its scores on validation cases, which flatters it" in text


def test_sites_are_compared_where_they_have_cases_of_their_own(scored_run: MakeRun) -> None:
    site = {case: f"site-{1 + n // 4}" for n, case in enumerate(CASES)}  # the later, the easier
    found = found_in([scored_run(dice(), site=site), scored_run(dice(-0.1), site=site)])
    values = np.linspace(0.3, 0.8, 12).reshape(3, 4).mean(axis=1) + 0.05
    row = runs_numbers(found).iloc[0]
    assert row["worst_site"] == "site-1"
    assert row["worst_site_mean"] == pytest.approx(values[0])
    assert row["site_gap"] == pytest.approx(values[2] - values[0])
    assert row["site_std"] == pytest.approx(values.std(ddof=1))
    assert f"| run-001 | site-1 | {values[0]:.4f} | site-3 |" in markdown(blocks(found))


def test_of_shared_cases_one_sentence_says_that_there_is_nothing_to_say(scored_run: MakeRun) -> None:
    text = markdown(blocks(found_in([scored_run(dice()), scored_run(dice(-0.1))])))
    assert text.count("prepare.py split --validation per_site") == 1
    assert "- run-001, run-002: Every case is on several sites' lists" in text
    assert "worst site" not in text


def test_what_weakens_a_comparison_is_said(scored_run: MakeRun) -> None:
    few = {case: "one of two" if n % 2 else "the other" for n, case in enumerate(CASES)}
    paths = [scored_run(dice(), patient=few), scored_run(dice(-0.1), patient=few)]
    (paths[1] / "status.json").write_text('{"status": "failed", "reason": "a site died"}')
    text = markdown(blocks(found_in(paths)))
    assert "2 patients are few" in text
    assert "Several cases are of one patient" in text
    assert "run-002 did not finish, it is failed." in text


def test_the_numbers_of_the_tests_are_those_of_the_table(scored_run: MakeRun) -> None:
    found = found_in([scored_run(dice()), scored_run(dice(-0.1)), scored_run(dice(0.05))])
    table = comparison_numbers(found)
    assert list(zip(table["subject"], table["reference"], strict=True))[::3] == [
        ("run-002", "run-001"),
        ("run-003", "run-001"),
        ("run-003", "run-002"),
    ]
    assert table["mean_difference"].tolist() == pytest.approx([-0.1] * 3 + [0.05] * 3 + [0.15] * 3)
    assert (table["tests"] == 9).all()
    text = markdown(blocks(found))
    assert "| run-003 - run-002 | WT | 12 | 0.1500 [0.1500, 0.1500] | 0.1500 | 1.00 | < 0.001 | 0.004 |" in text
