"""The curves: drawn without a screen, from whatever a run left."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.image import imread

from fedmed.core.site_scores import KeyScore
from fedmed.runs.training_curves import draw, weighted_mean, within_rounds

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
    for part in ("site-1", "site-2", "mean", "TC", "WT", "best: round 2", "run-001: fedavg", "training loss",
                 "Dice at each site", "Dice by target, mean over sites"):  # fmt: skip
        assert f"<!-- {part} -->" in text


def test_a_learning_rate_that_varies_has_a_panel(tmp_path: Path) -> None:
    table = history()
    draw(table, DICE, None, "", tmp_path / "constant.svg")
    draw(table.assign(learning_rate=table["round"].map({1: 0.1, 2: 0.05})), DICE, None, "", tmp_path / "falls.svg")
    shown = [(tmp_path / name).read_text().count("<!-- learning rate -->") for name in ("constant.svg", "falls.svg")]
    assert shown == [0, 1]


def test_personal_models_have_a_panel_of_their_own_where_there_are_some(tmp_path: Path) -> None:
    table = history()
    draw(table, DICE, 2, "", tmp_path / "without.svg")
    draw(table.assign(val_personal=table["round"].map({1: 0.6, 2: 0.7})), DICE, 2, "", tmp_path / "with.svg")
    without, drawn = ((tmp_path / name).read_text() for name in ("without.svg", "with.svg"))
    panel = "<!-- Dice of each site's personal model -->"
    assert (panel in without, panel in drawn) == (False, True)
    assert drawn.count("best: round 2") == without.count("best: round 2")  # that is the global model's


def test_a_score_of_one_target_is_not_drawn_twice(tmp_path: Path) -> None:
    draw(history(), KeyScore("val_dice", "Dice", ()), 2, "run-001", tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text()
    assert "Dice at each site" in text
    assert "by target" not in text


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


ACCURACY = KeyScore("val_accuracy", "accuracy", ("a", "b"))


def classes(rounds: int = 2) -> pd.DataFrame:
    """The history of a classification at two sites."""
    figures = {"val_loss": 0.5, "val_accuracy": 0.75, "val_accuracy_a": 0.5, "val_cases": 4}
    trained = {"train_loss": 0.75, "train_accuracy": 0.5}
    return pd.DataFrame(
        [
            {"round": number, "site": site, **figures, **(trained if number else {})}
            for number in range(rounds + 1)
            for site in ("site-1", "site-2")
        ]
    )


def epochs(number: int, **figures: float) -> pd.DataFrame:
    """Those of one round at one site."""
    return pd.DataFrame([{"round": 1, "site": "site-1", "epoch": n, **figures} for n in range(1, number + 1)])


@pytest.mark.parametrize("key", [ACCURACY, KeyScore("val_auroc", "AUROC", ("a",))], ids=["accuracy", "another key"])
def test_losses_and_accuracies_of_training_and_validation_have_a_panel_each(key: KeyScore, tmp_path: Path) -> None:
    draw(classes(), key, 1, "", tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text()
    panels = ["training loss", "validation loss at each site", "training accuracy", "accuracy at each site"]
    assert [text.count(f"<!-- {panel} -->") for panel in panels] == [1, 1, 1, 1]
    assert "own model" not in text


def test_epochs_stand_within_their_round_at_the_part_of_it_that_is_over() -> None:
    table = pd.concat([epochs(4), epochs(2).assign(round=3, site="b")])
    assert within_rounds(table)["round"].tolist() == [0.25, 0.5, 0.75, 1.0, 2.5, 3.0]


def test_a_sites_own_model_is_drawn_where_each_epoch_was_validated(tmp_path: Path) -> None:
    draw(classes(1), ACCURACY, 1, "", tmp_path / "with.svg", epochs=epochs(20, train_loss=1.0, val_accuracy=0.5))
    draw(classes(1), ACCURACY, 1, "", tmp_path / "without.svg", epochs=epochs(20, train_loss=1.0))
    assert (tmp_path / "with.svg").read_text().count("<!-- own model, each epoch -->") == 1
    assert "own model" not in (tmp_path / "without.svg").read_text()


def test_fourteen_targets_are_all_named(tmp_path: Path) -> None:
    key = KeyScore("val_auroc", "AUROC", tuple(f"finding {number}" for number in range(14)))
    table = pd.DataFrame(
        [{"round": n, "site": "a", "val_auroc": 0.5, **{key.of(t): 0.5 + n / 10 for t in key.targets}} for n in (0, 1)]
    )
    draw(table, key, 1, "", tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text()
    assert all(f"<!-- {target} -->" in text for target in key.targets)


def test_the_line_over_sites_is_called_what_it_is(tmp_path: Path) -> None:
    table = pd.DataFrame([{"round": n, "site": "a", "train_loss": 1.0, "val_auroc": 0.5} for n in (0, 1)])
    for name, combines in (("rows", False), ("values", True)):
        draw(table, KeyScore("val_auroc", "AUROC", (), combines=combines), 1, "", tmp_path / f"{name}.svg")
    counts = [(tmp_path / f"{name}.svg").read_text().count("mean of the sites' AUROC") for name in ("rows", "values")]
    assert counts == [1, 0]


def test_a_figure_from_sums_is_drawn_from_them() -> None:
    rows = [("a", 0.5, 1.0, 2.0), ("b", 0.9, 9.0, 10.0)]
    table = pd.DataFrame(
        [
            {
                "round": 1,
                "site": site,
                "val_x": value,
                "val_x_values": 3,
                "val_x_sum_part": part,
                "val_x_sum_whole": whole,
            }
            for site, value, part, whole in rows
        ]
    )
    figures = {"val_x": lambda sums: sums["part"] / sums["whole"]}
    assert weighted_mean(table, "val_x", figures).to_dict() == {1: pytest.approx(10 / 12)}
    assert weighted_mean(table, "val_x").to_dict() == {1: pytest.approx(0.7)}
