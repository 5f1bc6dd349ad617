from pathlib import Path

import pandas as pd
import pytest
from torch.utils.tensorboard import SummaryWriter

from fedmed.analysis.curves.tensorboard_events import cut_short, read_scalars, site_folders, smooth


def write(run: Path, site: str, points: dict[int, float], suffix: str = "") -> Path:
    """A file of events; returns its path."""
    folder = run / "tb_events" / site
    with SummaryWriter(str(folder), filename_suffix=suffix) as writer:
        for step, value in points.items():
            writer.add_scalar("val_dice", value, step)
    return next(folder.glob(f"*{suffix}"))


def test_every_point_of_every_site_is_read(tmp_path: Path) -> None:
    points = {step: step / 2000 for step in range(1500)}  # more than TensorBoard keeps by default
    write(tmp_path / "run-001", "site-1", points)
    write(tmp_path / "run-001", "site-2", {0: 0.5})
    table = read_scalars(tmp_path / "run-001")
    first = table[table["site"] == "site-1"]
    assert dict(zip(first["step"], first["value"], strict=True)) == pytest.approx(points)
    assert table[table["site"] == "site-2"]["value"].tolist() == [0.5]
    assert set(table["run"]) == {"run-001"}


def test_the_files_of_a_resumed_run_are_joined_and_the_later_writing_counts(tmp_path: Path) -> None:
    write(tmp_path, "site-1", {0: 0.125, 1: 0.25}, ".first")
    write(tmp_path, "site-1", {1: 0.5, 2: 0.75}, ".second")
    table = read_scalars(tmp_path)
    assert table["step"].tolist() == [0, 1, 2]
    assert table["value"].tolist() == [0.125, 0.5, 0.75]
    assert cut_short(tmp_path) == []


def test_a_file_that_ends_in_the_middle_of_a_record_is_read_up_to_it(tmp_path: Path) -> None:
    """As a process leaves it that was killed while it wrote; the run was resumed afterwards."""
    first = write(tmp_path, "site-1", {0: 0.125, 1: 0.25, 2: 0.5}, ".first")
    with first.open("r+b") as file:
        file.truncate(first.stat().st_size - 7)
    write(tmp_path, "site-1", {3: 0.75}, ".second")
    table = read_scalars(tmp_path)
    assert dict(zip(table["step"], table["value"], strict=True)) == {0: 0.125, 1: 0.25, 3: 0.75}
    (sentence,) = cut_short(tmp_path)
    assert str(first) in sentence
    assert "cut off or damaged" in sentence


def test_a_file_with_a_flipped_byte_is_read_up_to_it(tmp_path: Path) -> None:
    path = write(tmp_path, "site-1", {step: step / 8 for step in range(8)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    table = read_scalars(tmp_path)
    assert 0 < len(table) < 8
    assert (table["value"] == table["step"] / 8).all()
    (sentence,) = cut_short(tmp_path)
    assert f"of {len(content)} bytes" in sentence


def test_a_file_without_a_whole_record_gives_nothing_and_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "site-1", {0: 0.5})
    path.write_text("not a record")
    assert read_scalars(tmp_path).empty
    assert len(cut_short(tmp_path)) == 1


@pytest.mark.parametrize("place", ["tb_events", "server/simulate_job/tb_events", "workspace/tb_events", "."])
def test_runs_of_flare_and_plain_folders_are_read_too(tmp_path: Path, place: str) -> None:
    with SummaryWriter(str(tmp_path / place / "site-1")) as writer:
        writer.add_scalar("val_dice", 0.5, 1)
    (tmp_path / place / ".DS_Store").touch()
    (tmp_path / place / "empty").mkdir()
    assert [site.name for site in site_folders(tmp_path)] == ["site-1"]
    assert read_scalars(tmp_path)["site"].tolist() == ["site-1"]


def test_a_run_without_events_gives_an_empty_table(tmp_path: Path) -> None:
    assert read_scalars(tmp_path).empty
    assert site_folders(tmp_path / "nowhere") == []


def test_smoothing_is_the_published_recursion() -> None:
    values = [1.0, 0.0, 0.5, 0.25]
    last, expected = values[0], []
    for value in values:
        last = 0.8 * last + 0.2 * value
        expected.append(last)
    assert smooth(pd.Series(values), 0.8).tolist() == pytest.approx(expected)
    assert smooth(pd.Series(values), 0.0).tolist() == values


def test_smoothing_passes_over_what_is_not_finite() -> None:
    smoothed = smooth(pd.Series([1.0, float("nan"), float("inf"), 0.5]), 0.5)
    assert smoothed.isna().tolist() == [False, True, True, False]
    assert smoothed.iloc[-1] == pytest.approx(0.75)
