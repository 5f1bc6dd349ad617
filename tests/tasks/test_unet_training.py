"""The U-Net trains wherever the published network does: under every kind of mechanism and algorithm."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fedmed.core.names import STATE_VARIABLE
from fedmed.experiment import Experiment
from fedmed.site.local_training import LocalSite

SIZES = ("--roi_size", "32", "16", "16", "--infer_roi_size", "48", "48", "32")
DPSGD = ("--privacy", "dpsgd", "--dp_noise_multiplier", "1", "--insecure_seeded_noise")


@pytest.mark.parametrize(
    "choice", [(), ("--algorithm", "fedprox"), ("--privacy", "svt"), DPSGD], ids=["plain", "fedprox", "svt", "dpsgd"]
)
def test_a_round_moves_every_weight_and_leaves_a_score(
    small_experiment: Callable[..., Experiment],
    choice: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    site = LocalSite(small_experiment("--network", "unet", *SIZES, *choice), "site-1", "run")
    start = site.weights()
    site.begin(start, 0)
    trained = site.train(0)
    assert trained.steps == 2
    assert 0 < trained.epoch_losses[-1] < 1
    moved = [name for name, values in site.weights().items() if not torch.equal(values, start[name])]
    assert len(moved) > 0.9 * len(start)
    assert 0 <= site.evaluate()["val_dice"] <= 1
