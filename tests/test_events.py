from pathlib import Path

import pandas as pd
import pytest
from torch.utils.tensorboard import SummaryWriter

from fedmed.events import read_scalars, smooth


def write(run: Path, site: str, points: dict[int, float], suffix: str = "") -> None:
    with SummaryWriter(str(run / "tb_events" / site), filename_suffix=suffix) as writer:
        for step, value in points.items():
            writer.add_scalar("val_dice", value, step)


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


def test_a_run_without_events_gives_an_empty_table(tmp_path: Path) -> None:
    assert read_scalars(tmp_path).empty


def test_smoothing_is_the_published_recursion() -> None:
    values = [1.0, 0.0, 0.5, 0.25]
    last, expected = values[0], []
    for value in values:
        last = 0.8 * last + 0.2 * value
        expected.append(last)
    assert smooth(pd.Series(values), 0.8).tolist() == pytest.approx(expected)
    assert smooth(pd.Series(values), 0.0).tolist() == values
