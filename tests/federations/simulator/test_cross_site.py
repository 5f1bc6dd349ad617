"""Every site's own model and the global ones at every site, in a federation and where each site trains alone."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.image import imread
from nvflare.apis.dxo import from_file

from fedmed.core.weights import load_weights
from fedmed.data.phantoms.phantom import make_phantom
from fedmed.runs.run_folder import RunFolder
from model import BratsSegResNet
from tests.federations import launch

Runs = Mapping[str, str]
"""What each run showed on the screen."""

SITES = ("site-1", "site-2")
USUAL = ("--n_clients", 2, "--learning_rate", 1e-3, "--roi_size", 24, 24, 24, "--cross_site")
LINES: Mapping[str, tuple[object, ...]] = {
    "fedavg": ("--num_rounds", 1),
    "local": ("--num_rounds", 2, "--algorithm", "local"),
}
MODEL_BYTES = 4 * 4_702_227


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("cross")
    for line, lists in (("fedavg", "shared"), ("local", "per_site")):
        data = place / line / "data"
        made = {"sites": 2, "cases": 2, "validation": 2, "size": (40, 36, 32), "validation_lists": lists}
        make_phantom(data, data / "datalist", **made)  # type: ignore[arg-type]
    return place


@pytest.fixture(scope="module")
def runs(place: Path) -> Runs:
    def run(name: str) -> str:
        here = place / name
        paths = ("--dataset_base_dir", here / "data", "--datalist_json_path", here / "data" / "datalist")
        done = launch.run(here, *paths, *USUAL, *LINES[name], "--workspace", here / "flare")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(LINES, pool.map(run, LINES), strict=True))


def folder(place: Path, line: str) -> RunFolder:
    return RunFolder.open(place / line / "artifacts" / "run-001")


def scored(place: Path, line: str, metric: str = "val_dice") -> pd.DataFrame:
    """A row a model, a column a site."""
    table = pd.read_csv(folder(place, line).path / "cross_site.csv")
    return table[table["metric"] == metric].pivot(index="model", columns="site", values="value")


def sent_models(place: Path, line: str) -> dict[str, dict[str, np.ndarray]]:
    """The whole models that the sites handed in, as the server got them."""
    kept = next((place / line / "flare").rglob("model_shareables"))
    return {site: {n: np.asarray(v) for n, v in from_file(str(kept / site)).data.items()} for site in SITES}


def untrained() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return BratsSegResNet().state_dict()


def test_the_sites_hand_in_what_their_own_last_training_came_to(runs: Runs, place: Path) -> None:
    """FedAvg's global model is the mean of these, as both sites take as many steps from the same weights."""
    last = load_weights(folder(place, "fedavg").path / "last_global_model.pt")
    one, other = sent_models(place, "fedavg").values()
    assert any(np.abs(one[name] - other[name]).max() > 1e-4 for name in last)
    for name, values in last.items():
        np.testing.assert_allclose((one[name] + other[name]) / 2, values, atol=1e-6)


def test_every_model_is_scored_at_every_site_on_all_its_cases(runs: Runs, place: Path) -> None:
    table = pd.read_csv(folder(place, "fedavg").path / "cross_site.csv")
    assert list(table.columns) == ["model", "site", "metric", "value", "cases"]
    assert set(zip(table["model"], table["site"], strict=True)) == {
        (model, site) for model in ("global", "best global", *SITES) for site in SITES
    }
    assert set(table["cases"]) == {2}  # not a share
    assert {"val_dice", "val_dice_wt", "val_challenge_dice"} <= set(table["metric"])
    found = scored(place, "fedavg")
    history = folder(place, "fedavg").history().query("round == 1")
    values = history["val_dice_values"]
    final = (history["val_dice"] * values).sum() / values.sum()  # of both sites' shares
    assert found.loc["global"].tolist() == pytest.approx([final, final], abs=1e-6)
    assert abs(found.loc["site-1", "site-1"] - final) > 1e-4
    assert found["site-1"].tolist() == pytest.approx(found["site-2"].tolist(), abs=1e-9)  # they list the same cases


def test_the_summary_compares_each_sites_own_model_with_the_global_one(runs: Runs, place: Path) -> None:
    summary = (folder(place, "fedavg").path / "summary.txt").read_text()
    assert summary.rstrip() in runs["fedavg"]
    found = scored(place, "fedavg")
    for site in SITES:
        own, glob = found.loc[site, site], found.loc["global", site]
        better = "the global model" if glob > own else "its own model"
        line = f"at {site}: global {glob:.4f}, own {own:.4f}: {better} is better by {abs(glob - own):.4f}"
        assert line in summary
    assert "no significance is claimed" in summary
    assert "equal by construction" in summary
    assert imread(folder(place, "fedavg").path / "cross_site.png").shape[1] > 300


def test_the_megabytes_of_each_round_are_those_of_the_model(runs: Runs, place: Path) -> None:
    for line, rounds in (("fedavg", 1), ("local", 2)):
        history = folder(place, line).history().query("round > 0")
        total = history.groupby("site")[["megabytes_received", "megabytes_sent"]].sum()
        for site in SITES:  # the last model is sent once more, to be scored
            assert total.loc[site].tolist() == pytest.approx([(rounds + 1) * MODEL_BYTES / 1e6, rounds * 18.808908])


def test_sites_that_train_alone_share_no_model(runs: Runs, place: Path) -> None:
    run = folder(place, "local")
    assert not list(run.path.glob("*.pt"))
    server = load_weights(next((place / "local" / "flare").rglob("FL_global_model.pt")))
    assert all(torch.equal(values, server[name]) for name, values in untrained().items())
    own = [load_weights(run.path / "sites" / site / "last_local_model.pt") for site in SITES]
    assert any(not torch.equal(own[0][name], own[1][name]) for name in own[0])
    for site, weights in zip(SITES, own, strict=True):
        handed_in = sent_models(place, "local")[site]
        assert all(np.array_equal(handed_in[name], values.numpy()) for name, values in weights.items())
    assert "local: no global model; each site's own models are in sites/" in runs["local"]
    assert "No best model" not in runs["local"]


def test_their_history_is_that_of_their_own_models_on_all_their_cases(runs: Runs, place: Path) -> None:
    run, found = folder(place, "local"), scored(place, "local")
    history = run.history().set_index(["site", "round"])
    assert (history["val_cases"] == 2).all()
    assert set(found.index) == set(SITES)
    for site in SITES:
        assert history.loc[(site, 2), "val_dice"] == pytest.approx(found.loc[site, site], abs=1e-6)
        best = int(history.loc[site].loc[1:]["val_dice"].idxmax())
        assert f"{site}, after round {best}" in (run.path / "summary.txt").read_text()
        last, kept = (load_weights(run.path / "sites" / site / f"{w}_local_model.pt") for w in ("last", "best"))
        assert all(torch.equal(last[name], kept[name]) for name in last) == (best == 2)
    assert abs(history.loc[("site-1", 1), "val_dice"] - history.loc[("site-1", 2), "val_dice"]) > 1e-6
