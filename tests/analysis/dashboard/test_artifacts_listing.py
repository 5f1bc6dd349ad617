"""Runs are found by listing a folder: no name and no link leads out of it."""

from pathlib import Path

import pytest

from fedmed.analysis.dashboard.artifacts_listing import ArtifactsListing, stamp_of
from fedmed.core.errors import InputError


def run_in(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "experiment.json").write_text("{}")
    return folder


def test_runs_are_listed_by_name_and_nothing_else_is(root: Path) -> None:
    run_in(root / "run-002")
    run_in(root / "run-001")
    run_in(root / ".hidden")
    (root / "cache").mkdir()
    (root / "notes.txt").write_text("x")
    assert list(ArtifactsListing.of(root).runs) == ["run-001", "run-002"]


@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "/", "../run-001", "run-001/..", "run-001/../../secret", "/etc", "run-001\0", "run-001\0/../x",
     "..%2fsecret", "..\\secret", "run-001/", "RUN-001", "\u2025/secret", None],
)  # fmt: skip
def test_only_a_listed_name_finds_a_run(root: Path, name: str | None) -> None:
    run_in(root / "run-001")
    run_in(root.parent / "secret")
    listing = ArtifactsListing.of(root)
    assert listing.find("run-001") == root / "run-001"
    assert listing.find(name) is None


def test_a_run_whose_links_lead_out_of_the_folder_is_left_out(root: Path) -> None:
    outside = run_in(root.parent / "secret")
    (root / "as-a-whole").symlink_to(outside)
    (run_in(root / "a-file") / "summary.txt").symlink_to("/etc/hostname")
    (run_in(root / "a-folder") / "evaluation").symlink_to(outside)
    (run_in(root / "below") / "evaluation").mkdir()
    (root / "below" / "evaluation" / "best").symlink_to(Path("..", "..", "..", "..", "secret"))
    (run_in(root / "inside") / "copy").symlink_to(root / "inside" / "experiment.json")
    (root / "alias").symlink_to(root / "inside")
    listing = ArtifactsListing.of(root)
    assert list(listing.runs) == ["alias", "inside"]
    assert listing.leading_out == ("a-file", "a-folder", "as-a-whole", "below")


def test_links_that_lead_round_in_circles_hinder_nothing(root: Path) -> None:
    run = run_in(root / "run-001")
    (run / "evaluation").symlink_to(run)
    (run / "x").symlink_to(run / "x")
    listing = ArtifactsListing.of(root)
    assert {*listing.runs, *listing.leading_out} == {"run-001"}


def test_the_artifacts_folder_itself_may_be_a_link(root: Path) -> None:
    run_in(root / "run-001")
    (root.parent / "link").symlink_to(root)
    assert list(ArtifactsListing.of(root.parent / "link").runs) == ["run-001"]


def test_a_folder_that_is_not_there_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere cannot be listed .* give a folder of run folders"):
        ArtifactsListing.of(root / "nowhere")


def test_a_stamp_changes_with_a_files_content_and_with_a_new_file(root: Path) -> None:
    run = run_in(root / "run-001")
    patterns = ("experiment.json", "evaluation/*/table.csv")
    first = stamp_of(run, *patterns)
    assert stamp_of(run, *patterns) == first
    (run / "experiment.json").write_text("{ }")
    second = stamp_of(run, *patterns)
    (run / "evaluation" / "best").mkdir(parents=True)
    (run / "evaluation" / "best" / "table.csv").write_text("")
    assert len({first, second, stamp_of(run, *patterns)}) == 3
