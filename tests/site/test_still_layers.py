"""What is frozen has no gradients and moves no statistics, whatever the modes of the layers around it."""

import pytest
import torch
from torch import nn

from fedmed.site.still_layers import hold_still


class Network(nn.Module):
    """A stem with a dropout, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.head = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4), nn.Linear(4, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.stem(x))
        return scores


@pytest.fixture
def model() -> Network:
    return Network().train()


def names(model: nn.Module, start: str) -> set[str]:
    return {name for name in model.state_dict() if name.startswith(start)}


def moved_by_a_step(model: nn.Module) -> set[str]:
    before = {name: values.clone() for name, values in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=0.5)
    model(torch.randn(8, 3)).square().sum().backward()
    optimizer.step()
    return {name for name, values in model.state_dict().items() if not torch.equal(values, before[name])}


def test_nothing_of_the_frozen_part_moves_and_all_of_the_rest_does(model: Network) -> None:
    frozen = names(model, "stem")
    hold_still(model, frozen)
    assert moved_by_a_step(model) == set(model.state_dict()) - frozen
    assert not any(layer.training for layer in model.stem.modules())  # its dropout drops nothing
    assert all(layer.training for layer in model.head.modules())


def test_frozen_statistics_beside_a_scale_that_trains(model: Network) -> None:
    frozen = {"stem.1.running_mean", "stem.1.running_var", "stem.1.num_batches_tracked"}
    hold_still(model, frozen)
    assert [layer.training for layer in model.stem] == [True, False, True]
    assert moved_by_a_step(model) == set(model.state_dict()) - frozen


def test_a_frozen_scale_beside_statistics_that_move(model: Network) -> None:
    frozen = {"stem.1.weight", "stem.1.bias"}
    hold_still(model, frozen)
    assert moved_by_a_step(model) == set(model.state_dict()) - frozen


def test_without_a_frozen_part_nothing_is_held(model: Network) -> None:
    hold_still(model, ())
    assert all(layer.training for layer in model.modules())
    assert moved_by_a_step(model) == set(model.state_dict())


def test_what_a_task_holds_for_some_rounds_stays_held(model: Network) -> None:
    model.head[2].weight.requires_grad_(False)
    hold_still(model, names(model, "stem"))
    assert "head.2.weight" not in moved_by_a_step(model)
