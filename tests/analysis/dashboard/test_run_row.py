"""A run as a row: figures that its files hold, whatever became of it."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from fedmed.analysis.dashboard import run_row
from fedmed.analysis.dashboard.artifacts_listing import ArtifactsListing
from fedmed.analysis.dashboard.privacy_words import booked_entries
from fedmed.analysis.dashboard.run_row import UNREAD, row_of, rows_of
from fedmed.analysis.dashboard.run_status import status_of
from fedmed.core import locks
from fedmed.runs.run_folder import RunFolder
from tests.analysis.dashboard.conftest import MakeRun
from tests.analysis.dashboard.records import record
from tests.ledgers import entry


def test_a_finished_run_that_was_evaluated(make_run: MakeRun) -> None:
    row = row_of(make_run(evaluated=True).path)
    assert (row.name, row.status, row.task, row.algorithm, row.privacy) == (
        "run-001", "finished", "brats18", "fedavg", "none"
    )  # fmt: skip
    assert (row.rounds, row.planned, row.sites) == (5, 5, ("site-1", "site-2"))
    assert (row.seconds, row.megabytes) == (5 * 1.5, 6 * 2 * 2.0)  # the final scoring sends, and is no round
    score = row.score
    assert (score.metric, score.scored_on) == ("Dice", "best model, validation cases")
    assert score.value == pytest.approx(0.55)
    assert score.interval.startswith("[")
    assert (score.worst_site, score.worst_value) == ("site-1", pytest.approx(0.3))


def test_without_an_evaluation_the_sites_last_report_is_shown_and_said_to_be_that(make_run: MakeRun) -> None:
    score = row_of(make_run().path).score
    assert score.value == pytest.approx((0.55 + 0.7) / 2)
    assert (score.interval, score.worst_site) == ("-", "-")
    assert score.scored_on == "no evaluation; the sites' report after round 5"


def test_epsilon_is_that_of_the_site_that_spent_most(private_run: RunFolder) -> None:
    row = row_of(private_run.path)
    assert (row.epsilon, row.unit) == ("2 at delta 1e-05", "site's update")


def test_a_run_that_goes_on_has_spent_what_its_records_say(make_run: MakeRun) -> None:
    run = make_run(0, "running", "--privacy", "gaussian", "--dp_noise_multiplier", "1", "--dp_release_metrics")
    booked = {"site-1": asdict(entry("site-1", 1, 3.0)), "site-2": asdict(entry("site-2", 1, 1.0))}
    run.add_record(record(0, {"site-1": 0.5, "site-2": 0.5}, privacy=booked))
    with locks.held(run.path):
        assert row_of(run.path).epsilon == "3 at delta 1e-05"
        assert [each.epsilon_total for each in booked_entries(run, run.records())] == [3.0, 1.0]


def test_a_lost_ledger_is_not_taken_for_nothing_spent(private_run: RunFolder) -> None:
    (private_run.path / "privacy_ledger.json").unlink()
    assert row_of(private_run.path).epsilon == "not known"


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [("finished", "", "finished"), ("failed", "the disk was full", "failed"), ("running", "", "interrupted")],
)
def test_the_state_is_what_the_folder_says_unless_nobody_holds_it(
    make_run: MakeRun, status: str, reason: str, expected: str
) -> None:
    run = make_run(2, status, reason=reason)
    assert status_of(run.path) == (expected, reason)
    assert row_of(run.path).status == expected


def test_a_run_whose_process_holds_its_folder_is_running(make_run: MakeRun) -> None:
    run = make_run(2, "running")
    with locks.held(run.path):
        assert row_of(run.path).status == "running"
    assert row_of(run.path).status == "interrupted"


def test_an_empty_run_is_a_row_of_dashes(make_run: MakeRun) -> None:
    run = make_run(0, "running")
    for path in run.path.iterdir():
        if path.name != "experiment.json":
            path.unlink()
    row = row_of(run.path)
    assert (row.status, row.rounds, row.seconds, row.megabytes, row.score.value) == (
        "of unknown status", 0, None, None, None
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("experiment.json", "{"),
        ("experiment.json", '{"task": {"name": "unheard"}}'),
        ("rounds.jsonl", '{"round": 0}\n'),
    ],
)
def test_a_damaged_run_is_a_row_with_the_reason(make_run: MakeRun, root: Path, name: str, content: str) -> None:
    make_run()
    (make_run().path / name).write_text(content)
    good, bad = rows_of(ArtifactsListing.of(root))
    assert (good.status, bad.status) == ("finished", "unreadable")
    assert name in bad.fault or "unheard" in bad.fault


def test_only_a_run_whose_files_have_changed_is_read_again(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [make_run(), make_run()]
    for run in runs:
        row_of(run.path)
    read: list[str] = []
    records = RunFolder.records
    monkeypatch.setattr(RunFolder, "records", lambda self: read.append(self.name) or records(self))
    runs[1].add_record(json.loads((runs[1].path / "rounds.jsonl").read_text().splitlines()[-1]))
    for run in runs:
        row_of(run.path)
    assert read == ["run-002"]


def test_a_page_need_not_wait_for_every_run(make_run: MakeRun, root: Path) -> None:
    for _ in range(3):
        make_run()
    listing = ArtifactsListing.of(root)
    assert [row.status for row in rows_of(listing, 0.0)] == [UNREAD] * 3
    row_of(listing.runs["run-002"])
    assert [row.status for row in rows_of(listing, 0.0)] == [UNREAD, "finished", UNREAD]
    assert [row.status for row in rows_of(listing)] == ["finished"] * 3


def test_a_row_is_read_without_a_sites_figures(make_run: MakeRun) -> None:
    """Of hundreds of figures a site and round none is in the frame that the cost is made of."""
    run = make_run()
    slim = run_row._without_figures(run.records()[0])
    assert slim["sites"] == {"site-1": {}, "site-2": {}}
    assert set(slim) == {"round", "seconds", "bytes", "sites"}


def test_evaluations_stand_with_the_usual_models_first(make_run: MakeRun) -> None:
    run = make_run(evaluated=True)
    made = run.path / "evaluation" / "best-validation"
    for name in ("last-test", "best-test", "best-study", "other-validation"):
        os.makedirs(run.path / "evaluation" / name)
        (run.path / "evaluation" / name / "evaluation.json").write_bytes((made / "evaluation.json").read_bytes())
    assert run_row.evaluations_of(run) == [
        "best-validation", "best-test", "best-study", "last-test", "other-validation"
    ]  # fmt: skip


def test_a_row_makes_no_figure_of_its_own(make_run: MakeRun) -> None:
    """The score is the number in the evaluation's table, whatever that is."""
    run = make_run(evaluated=True)
    path = run.path / "evaluation" / "best-validation" / "table.csv"
    table = pd.read_csv(path)
    table.loc[(table["site"] == "pooled") & (table["metric"] == "dice"), "value"] = 0.125
    table.to_csv(path, index=False)
    assert row_of(run.path).score.value == 0.125
