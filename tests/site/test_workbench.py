"""The optimiser with which a site trains: the one that was chosen, on the groups that the task states."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from fedmed.experiment import Experiment
from fedmed.site.workbench import Workbench


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_it_is_the_chosen_one(toy_experiment: Callable[..., Experiment], name: str, kind: str) -> None:
    made = Workbench(toy_experiment("--optimizer", name, "--learning_rate", "0.5", "--weight_decay", "0.25")).optimizer
    assert type(made).__name__ == kind
    assert [(group["lr"], group["weight_decay"]) for group in made.param_groups] == [(0.5, 0.25)]


def test_it_has_the_groups_of_the_task(
    toy_experiment: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = toy_experiment("--learning_rate", "0.5")

    def apart(task: Any, model: nn.Module, learning_rate: float) -> list[dict[str, Any]]:
        first, *others = model.parameters()
        return [{"params": [first], "lr": learning_rate / 10}, {"params": others, "lr": learning_rate}]

    monkeypatch.setattr(type(experiment.task), "parameter_groups", apart)
    bench = Workbench(experiment)
    assert [group["lr"] for group in bench.optimizer.param_groups] == [0.05, 0.5]
    assert sum(len(group["params"]) for group in bench.optimizer.param_groups) == len(list(bench.model.parameters()))
    before = [values.detach().clone() for values in bench.model.parameters()]
    for values in bench.model.parameters():
        values.grad = torch.ones_like(values)
    bench.optimizer.step()  # Adam's first step is as large as the rate
    steps = [(old - new).abs().max().item() for old, new in zip(before, bench.model.parameters(), strict=True)]
    assert steps == pytest.approx([0.05, *[0.5] * (len(steps) - 1)], rel=1e-4)
