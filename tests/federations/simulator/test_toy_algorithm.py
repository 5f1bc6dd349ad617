"""A plug-in algorithm in a real federation: killed and resumed it ends with the same bits, and its arrays are counted.

Its task and its algorithm are put beside the package's own in a copy of the project, as whoever adds one would.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fedmed.core.lines import json_lines
from fedmed.core.names import LAST, LAST_OWN, RECORDS, SITES
from tests.federations import launch
from tests.federations.launch import Begun

TOY = Path(__file__).parents[2] / "toy"
ROUNDS = 3


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project's code with the toy task and the toy algorithm."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("job.py", "client.py", "model.py"):
        shutil.copy(launch.ROOT / name, copy)
    shutil.copytree(launch.ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TOY / "toy_task.py", copy / "src" / "fedmed" / "tasks")
    shutil.copy(TOY / "algorithm" / "toy_algorithm.py", copy / "src" / "fedmed" / "algorithms")
    return copy


def run(place: Path) -> list[object]:
    usual = ["--task", "toy_task", "--batch_norm", "--algorithm", "toy_algorithm", "--num_rounds", ROUNDS]
    return [*usual, "--n_clients", 2, "--aggregation_epochs", 2, "--artifacts", place]


def models(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    paths = {"global": folder / LAST, **{s: folder / SITES / s / LAST_OWN for s in ("site-1", "site-2")}}
    return {name: torch.load(path, weights_only=True)["model"] for name, path in paths.items()}


def test_killed_and_resumed_it_ends_with_the_same_bits_and_extras_are_counted(project: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole" / "run-001", tmp_path / "cut" / "run-001"
    with Begun(whole, *run(whole.parent), project=project) as begun:
        begun.end()
    with Begun(cut, *run(cut.parent), project=project) as begun:
        begun.wait_for_a_round()
        begun.cut_off()
    with Begun(cut, "--resume", cut, project=project) as begun:
        assert "resumed after round" in begun.end()
    found, expected = models(cut), models(whole)
    for model in expected:
        torch.testing.assert_close(found[model], expected[model], rtol=0, atol=0)
    _private_entries_are_each_sites_own(expected)
    _bytes_count_messages_and_extras(whole, expected["global"])


def _private_entries_are_each_sites_own(found: dict[str, dict[str, torch.Tensor]]) -> None:
    values = [weights["layers.8.weight"] for weights in found.values()]
    assert not any(torch.equal(values[i], values[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def _bytes_count_messages_and_extras(run: Path, model: dict[str, torch.Tensor]) -> None:
    sizes = {name: values.nbytes for name, values in model.items()}
    private = sum(size for name, size in sizes.items() if name.startswith("layers.8."))
    drift = sum(size for name, size in sizes.items() if name.endswith(("weight", "bias"))) - private
    rounds = [record for record in json_lines(run / RECORDS) if not record.get("final")]
    assert len(rounds) == ROUNDS
    for record in rounds:
        for moved in record["bytes"].values():
            assert moved["received"] == sum(sizes.values()) + drift
            assert moved["sent"] == sum(sizes.values()) - private + drift
    assert all(np.isfinite(record["sites"]["site-1"]["val_auroc"]) for record in rounds)
