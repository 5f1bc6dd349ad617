"""The curves: drawn without a screen, from whatever a run left."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.image import imread

from fedmed.core.site_scores import KeyScore
from fedmed.runs.training_curves import draw, weighted_mean

DICE = KeyScore("val_dice", "Dice", ("TC", "WT"))


def history(rounds: int = 3, sites: int = 2, loss: bool = True, score: bool = True) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for number in range(rounds):
        for site in range(1, sites + 1):
            row: dict[str, Any] = {"round": number, "site": f"site-{site}"}
            if loss and number > 0:
                row["train_loss"] = 1 / (number + site)
            if score:
                row |= {"val_cases": site, "val_dice": number / 10, "val_dice_tc": 0.1, "val_dice_wt": 0.2}
            rows.append(row)
    return pd.DataFrame(rows)


@pytest.fixture(autouse=True)
def _no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def test_a_png_is_drawn_without_a_screen(tmp_path: Path) -> None:
    draw(history(), DICE, 2, "run-001", tmp_path / "curves.png")
    image = imread(tmp_path / "curves.png")
    assert image.shape[1] > 2 * image.shape[0] > 0
    assert image[..., :3].std() > 0.01


def test_the_picture_names_sites_regions_the_best_round_and_its_source(tmp_path: Path) -> None:
    draw(history(), DICE, 2, "run-001: fedavg", tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text()
    for part in ("site-1", "site-2", "mean", "TC", "WT", "best: round 2", "run-001: fedavg", "training loss"):
        assert f"<!-- {part} -->" in text


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    "table",
    [history(rounds=1), history(sites=1), history(sites=30), history(loss=False), history(score=False)],
    ids=["untrained", "one site", "30 sites", "no loss", "no score"],
)
def test_a_run_that_left_less_or_more_is_drawn_too(table: pd.DataFrame, tmp_path: Path) -> None:
    draw(table, DICE, None, "", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_a_score_is_averaged_by_cases_and_a_loss_is_not() -> None:
    table = pd.DataFrame(
        [
            {"round": 1, "site": "a", "val_cases": 3, "val_dice": 0.8, "train_loss": 1.0},
            {"round": 1, "site": "b", "val_cases": 1, "val_dice": 0.4, "train_loss": 2.0},
            {"round": 2, "site": "a", "val_cases": 3, "val_dice": 0.5, "train_loss": math.nan},
            {"round": 2, "site": "b", "val_cases": 1, "val_dice": math.nan, "train_loss": 3.0},
        ]
    )
    assert weighted_mean(table, "val_dice").to_dict() == {1: pytest.approx(0.7), 2: pytest.approx(0.5)}
    assert weighted_mean(table, "train_loss").to_dict() == {1: pytest.approx(1.5), 2: pytest.approx(3.0)}
