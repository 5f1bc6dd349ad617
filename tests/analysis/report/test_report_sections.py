"""Sections of a run folder whose files are written here, so that what must stand in them is known."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.analysis.evaluation.evaluation_table import long_table, summarize
from fedmed.analysis.report import report_sections
from fedmed.analysis.report.report_page import Listing, Section, Table, Text
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import Row
from fedmed.tasks.brats18 import Brats18
from fedmed.tasks.scoring.metric_catalogue import SEGMENTATION_METRICS

DICE = SEGMENTATION_METRICS[0]


@pytest.fixture
def run(small_experiment: Callable[..., Experiment], tmp_path: Path) -> RunFolder:
    run = RunFolder.create(tmp_path, "run")
    run.write_experiment(small_experiment())
    run.write_status("failed", "the disk was full")
    warning = {"level": "warning", "check": "skull", "sentence": "case x looks odd."}
    facts = {"training": 2, "validation": 1, "label_scheme": "brats2018", "largest_volume": [40, 36, 32]}
    cases = [{"patient": "p1"}, {"patient": "p2"}, {"patient": "p2"}]
    run.write_json("dataset_stats", {"site-1": {**facts, "findings": [warning], "cases": cases}})
    run.write_json(
        "training_history",
        [
            {"round": 1, "site": "site-1", "val_dice": 0.25, "val_dice_values": 6, "val_cases": 2, "train_loss": 0.9},
            {"round": 2, "site": "site-1", "val_dice": 0.5, "val_dice_values": 6, "val_cases": 2, "train_loss": 0.8},
        ],
    )
    return run


@pytest.fixture
def folder(tmp_path: Path) -> EvaluationFolder:
    folder = EvaluationFolder(tmp_path / "evaluation" / "best-validation")
    values = {("site-1", "a"): 0.25, ("site-2", "b"): 0.75}
    results = {
        (site, case): [
            Row(case, target, metric.name, value) for metric in SEGMENTATION_METRICS for target in ("TC", "ET")
        ]
        for (site, case), value in values.items()
    }
    cases, patients = long_table("run-001", results), {"a": "p", "b": "q"}
    folder.begin({})
    table = summarize(cases, patients, SEGMENTATION_METRICS)
    about = {"model": "best", "split": "validation", "data": "set", "cases": ["a", "b"], "patients": patients}
    about |= {"run": "run-001", "weights_sha256": "ab", "flips": False, "truth_sha256": {"a": "c", "b": "d"}}
    folder.finish(cases, table, about)
    return folder


def words(section: Section) -> str:
    found = []
    for part in section.parts:
        if isinstance(part, Text):
            found.append(part.text)
        if isinstance(part, Listing):
            found += part.items
        if isinstance(part, Table):
            found += [part.caption, *part.columns, *(cell for row in part.rows for cell in row)]
    return "\n".join(found)


def test_the_result_says_how_the_run_ended_and_what_it_reached(run: RunFolder, folder: EvaluationFolder) -> None:
    text = words(report_sections.result(run, folder, DICE, "set (synthetic phantoms)"))
    assert "failed: the disk was full" in text
    assert "synthetic phantoms" in text
    assert "0.5000" in text
    assert "2 validation cases" in text
    assert "worst site-1 0.2500, best site-2 0.7500, gap 0.5000" in text
    assert "images and names of cases" in text


def test_every_metric_and_site_has_a_row(folder: EvaluationFolder) -> None:
    pooled, by_site = [part for part in report_sections.scores(folder, Brats18()).parts if isinstance(part, Table)]
    assert len(pooled.rows) == len(SEGMENTATION_METRICS)
    assert [row[0] for row in by_site.rows] == ["pooled", "site-1", "site-2"]
    assert by_site.rows[1][1:] == ["0.2500", "0.2500", "0.2500"]


def test_cases_stand_worst_first(folder: EvaluationFolder) -> None:
    (table,) = report_sections.cases(folder, SEGMENTATION_METRICS, []).parts
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["a", "b"]
    assert table.rows[0][2:] == ["0.2500", "0.2500", "0.2500"]


def test_the_audits_findings_and_counts_are_shown(run: RunFolder) -> None:
    section = report_sections.data(run)
    assert "site-1: case x looks odd." in words(section)
    (table,) = [part for part in section.parts if isinstance(part, Table)]
    assert table.rows == [["site-1", "2", "1", "2", "brats2018", "40x36x32", "0", "1"]]


def test_the_last_scores_of_each_site_are_shown(run: RunFolder) -> None:
    (table,) = report_sections.training(run, run.experiment().task).parts
    assert isinstance(table, Table)
    assert "round 2" in table.caption
    assert table.rows == [["site-1", "0.5000", "2"]]


def test_an_attack_and_how_much_each_site_counted_are_shown(run: RunFolder) -> None:
    run.write_status("finished", attack="scaled (strength 10) at site-2, for study only")
    shares = {("site-1", 1): 1.0, ("site-1", 2): 0.5, ("site-2", 1): 0.0, ("site-2", 2): 0.1}
    told = [{"round": r, "site": s, "val_dice": 0.5, "val_cases": 2, "counted": v} for (s, r), v in shares.items()]
    run.write_json("training_history", told)
    assert "Under attack: scaled (strength 10) at site-2" in words(report_sections.result(run, None, DICE, ""))
    _, table = report_sections.training(run, run.experiment().task).parts
    assert isinstance(table, Table)
    assert table.rows == [["site-1", "0.75", "0.50", "0 of 2"], ["site-2", "0.05", "0.00", "1 of 2"]]


def test_where_no_scores_left_the_sites_that_is_said(run: RunFolder) -> None:
    run.write_json("training_history", [{"round": 1, "site": "site-1"}])
    assert "No scores left the sites" in words(report_sections.training(run, run.experiment().task))


def test_without_a_mechanism_it_is_said_that_nothing_is_protected(run: RunFolder) -> None:
    assert "unprotected" in words(report_sections.privacy(run))


def test_a_cross_site_matrix_is_shown_where_there_is_one(run: RunFolder) -> None:
    assert report_sections.cross_site(run) is None
    pd.DataFrame({"model": ["global"]}).to_csv(run.path / "cross_site.csv")
    assert report_sections.cross_site(run) is not None


def test_a_formal_run_without_its_ledger_does_not_pass_as_one_that_spent_nothing(
    run: RunFolder, small_experiment: Callable[..., Experiment]
) -> None:
    formal = small_experiment("--privacy", "gaussian", "--dp_clip", "1", "--dp_noise_multiplier", "1")
    run.write_experiment(formal)
    assert "is not known" in words(report_sections.result(run, None, DICE, ""))


def test_where_only_the_sites_know_their_data_nothing_is_claimed_of_them(run: RunFolder) -> None:
    run.write_json("dataset_stats", {})
    parts = report_sections.data(run).parts
    assert [type(part) for part in parts] == [Text]
    assert "audited its own data" in str(parts[0])
