"""FedBN: normalisation layers stay at the sites, all else is averaged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fedmed.algorithms.fedbn import FedBN
from fedmed.core.errors import InputError
from fedmed.experiment import Experiment
from fedmed.tasks.base import Task
from model import BratsSegResNet, ImageResNet
from tests.algorithms.whole_federation import WholeFederation

Make = Callable[..., Experiment]
NORM = {f"layers.1.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where equal runs are equal to the bit."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_the_private_part_of_a_resnet_is_its_batch_normalisation() -> None:
    model = ImageResNet()
    parts = FedBN().parts(model)
    norms = {name for name, layer in model.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    assert {name.rpartition(".")[0] for name in parts.private.names} == norms  # those of shortcuts too
    assert len(parts.private.names) == 5 * len(norms)
    assert parts.frozen.names == ()
    assert (parts.shared.statistics, parts.shared.counters) == ((), ())


def test_of_group_normalisation_scale_and_shift_are_private() -> None:
    model = BratsSegResNet(init_filters=8)
    private = FedBN().parts(model).private
    norms = [layer for layer in model.modules() if isinstance(layer, nn.GroupNorm)]
    assert len(private.trainable) == 2 * len(norms) == len(private.names)


def test_no_message_holds_a_normalisation_layer_and_each_site_has_its_own(
    toy_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = toy_experiment("--batch_norm", "--algorithm", "fedbn", "--num_rounds", "2")
    run = WholeFederation(experiment, tmp_path, monkeypatch).run()
    assert [question.kind for question in run.questions] == ["images", "unshared", "train", "train", "score"]
    assert all(not NORM & set(question.weights) for question in run.questions[2:])
    assert all(not NORM & set(answer.update) for _, answer in run.answers)
    one, other = run.own("site-1"), run.own("site-2")
    assert {name for name in one if not np.array_equal(one[name], other[name])} == NORM - {
        "layers.1.num_batches_tracked"
    }


def test_where_normalisation_stands_still_it_is_fedavg(
    toy_experiment: Make, toy_task: type[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def groups(self: Task, model: Any, learning_rate: float) -> list[dict[str, Any]]:
        model.layers[1].momentum = 0.0  # its running statistics stay as they are
        named = dict(model.named_parameters())
        still = [named.pop(name) for name in ("layers.1.weight", "layers.1.bias")]
        return [{"params": list(named.values()), "lr": learning_rate}, {"params": still, "lr": 0.0}]

    monkeypatch.setattr(toy_task, "parameter_groups", groups)
    usual = ("--batch_norm", "--num_rounds", "2", "--running_statistics", "trained")
    bn, whole = (
        WholeFederation(toy_experiment(*usual, "--algorithm", name), tmp_path / name, monkeypatch).run()
        for name in ("fedbn", "fedavg")
    )
    for site in ("site-1", "site-2"):
        own = bn.own(site)
        assert all(own[name].tobytes() == whole.model[name].tobytes() for name in own if "tracked" not in name)


def test_a_network_without_normalisation_is_refused(toy_experiment: Make) -> None:
    with pytest.raises(InputError, match="the network has none with a scale or statistics; choose fedavg"):
        toy_experiment("--algorithm", "fedbn")
