"""Ditto: a personal model at every site, beside a global one that knows nothing of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fedmed.core.site_scores import PERSONAL
from fedmed.experiment import Experiment
from tests.algorithms.whole_federation import WholeFederation

Make = Callable[..., Experiment]
Begin = Callable[..., WholeFederation]

SITES = ("site-1", "site-2")


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where equal runs are equal to the bit."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def begin(toy_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Begins, or goes on with, a federation of the toy task with batch normalisation."""

    def made(*arguments: str, place: str = "run") -> WholeFederation:
        usual = ("--batch_norm", "--algorithm", "ditto", "--num_rounds", "3")
        return WholeFederation(toy_experiment(*usual, *arguments), tmp_path / place, monkeypatch)

    return made


def same(one: Any, other: Any) -> bool:
    assert set(one) == set(other)
    return all(np.array_equal(one[name], other[name]) for name in one)


def distance(one: Any, other: Any, model: nn.Module) -> float:
    """Euclidean, of the trainable entries."""
    names = [name for name, _ in model.named_parameters()]
    return float(np.sqrt(sum(np.square(one[name] - other[name]).sum() for name in names)))


@pytest.mark.parametrize(
    "options",
    [(), ("--send", "best", "--aggregation_epochs", "2"), ("--schedule", "cosine", "--sites_per_round", "1")],
    ids=["usual", "best epoch", "one site a round"],
)
def test_the_global_model_and_its_scores_are_those_of_fedavg_to_the_bit(begin: Begin, options: tuple[str, ...]) -> None:
    ditto, fedavg = begin(*options).run(), begin(*options, "--algorithm", "fedavg", place="fedavg").run()
    assert same(ditto.model, fedavg.model)
    assert reports(ditto) == reports(fedavg)
    for fact in ("round", "best", "bytes"):
        assert [record[fact] for record in ditto.records] == [record[fact] for record in fedavg.records]
    assert all(not same(ditto.own(site), ditto.model) for site in SITES)


def reports(run: WholeFederation) -> list[dict[str, Any]]:
    """What each site reported of the global model in each round."""
    found = [record["sites"][site] for record in run.records for site in sorted(record["sites"])]
    return [{name: value for name, value in report.items() if name != PERSONAL} for report in found]
