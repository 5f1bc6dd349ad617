"""Curves of runs: which sites count for how much, and what a band is."""

import math
from pathlib import Path

import pandas as pd
import pytest
from torch.utils.tensorboard import SummaryWriter

from fedmed.analysis.curves.run_curves import band, over_sites, read_run, scored_shares, steps_in_words
from fedmed.runs.run_folder import RunFolder


def points(tag: str, sites: dict[str, dict[int, float]], weights: dict[str, int] | None = None) -> pd.DataFrame:
    rows = [
        {"run": "run", "site": site, "tag": tag, "step": step, "value": value, "weight": (weights or {}).get(site, 1)}
        for site, curve in sites.items()
        for step, value in curve.items()
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Site a scored three of the four cases that both list, site b one."""
    folder = RunFolder.create(tmp_path, "run")
    lists = {"training": [], "validation": ["1", "2", "3", "4"]}
    folder.write_json("dataset_splits", {"a": lists, "b": lists})
    rows = []
    for site, cases, dice in (("a", 3, 0.8), ("b", 1, 0.4)):
        with SummaryWriter(str(folder.path / "tb_events" / site)) as writer:
            writer.add_scalar("val_dice", dice, 1)
        rows.append({"round": 1, "site": site, "val_cases": cases, "val_dice": dice, "val_dice_values": 3 * cases})
    folder.write_json("training_history", rows)
    return folder


def test_a_sites_score_counts_as_in_the_history_of_the_run(run: RunFolder) -> None:
    table = read_run(run.path, "mine")
    assert table["weight"].tolist() == [9, 3]
    assert set(table["run"]) == {"mine"}
    assert over_sites(table).to_dict() == {1: pytest.approx(0.7)}


def test_without_a_history_every_site_counts_the_same(run: RunFolder) -> None:
    (run.path / "training_history.json").unlink()
    assert over_sites(read_run(run.path, "theirs")).to_dict() == {1: pytest.approx(0.6)}


def test_shares_are_told_from_whole_lists(run: RunFolder) -> None:
    assert scored_shares(run.path)
    run.write_json("training_history", [{"round": 1, "site": site, "val_cases": 4} for site in ("a", "b")])
    assert not scored_shares(run.path)
    run.write_json("training_history", [{"round": 1, "site": site, "val_cases": 0} for site in ("a", "b")])
    assert not scored_shares(run.path)


def test_losses_of_sites_of_different_sizes_are_averaged_epoch_by_epoch() -> None:
    sites = {"small": {2: 1.0, 4: 0.5, 6: 0.25}, "large": {6: 0.5, 12: 0.25}}
    assert over_sites(points("train_loss", sites)).to_dict() == {4.0: 0.75, 8.0: 0.375}


@pytest.mark.parametrize("tag", ["train_loss", "train_accuracy", "epoch_val_loss"])
def test_figures_of_epochs_stand_at_steps_and_every_site_counts_the_same(run: RunFolder, tag: str) -> None:
    """Also where a step has the number of a round."""
    for site, value in (("a", 0.0), ("b", 1.0)):
        with SummaryWriter(str(run.path / "tb_events" / site), filename_suffix=".epochs") as writer:
            writer.add_scalar(tag, value, 1)
    rows = [{"round": 1, "site": site, f"{tag}_values": steps} for site, steps in (("a", 9), ("b", 1))]
    run.write_json("training_history", rows)
    table = read_run(run.path, "mine").query("tag == @tag")
    assert over_sites(table).to_dict() == {1.0: 0.5}
    assert steps_in_words(tag) == "optimiser steps of a site"


def test_a_site_without_a_score_in_a_round_is_left_out_of_it() -> None:
    sites = {"a": {0: 0.2, 1: 0.4}, "b": {1: 0.8}}
    assert over_sites(points("val_dice", sites, {"b": 3})).to_dict() == pytest.approx({0: 0.2, 1: 0.7})


def test_a_mean_with_a_nan_is_none() -> None:
    assert math.isnan(over_sites(points("val_dice", {"a": {0: 0.2}, "b": {0: math.nan}}))[0])


def test_a_band_goes_from_the_lowest_to_the_highest_as_far_as_all_go() -> None:
    curves = [pd.Series([0.0, 0.25, 0.5], [0, 1, 2]), pd.Series([0.5, 0.75], [0, 1])]
    drawn = band(curves, 0)
    assert drawn["mean"].to_dict() == {0: 0.25, 1: 0.5}
    assert drawn["low"].to_dict() == {0: 0.0, 1: 0.25}
    assert drawn["high"].to_dict() == {0: 0.5, 1: 0.75}


def test_steps_are_called_what_they_are() -> None:
    assert steps_in_words("train_loss") == "optimiser steps of a site"
    for tag in ("val_dice_tc", "privacy_epsilon", "learning_rate"):
        assert steps_in_words(tag) == "federated rounds"
    assert steps_in_words("gpu_memory") == "steps"
