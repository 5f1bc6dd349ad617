"""FedProx: mu/2 |w - w_global|^2 by hand, with its gradient, from a start that does not move."""

import math

import pytest
import torch
from torch import nn

from fedmed.algorithms.base import SiteSetup, SiteSide
from fedmed.algorithms.fedprox import FedProx, ProximalTerm
from fedmed.core.errors import InputError


def started(model: nn.Module, mu: float) -> SiteSide:
    side = FedProx(fedproxloss_mu=mu).site(SiteSetup(model, torch.optim.SGD(model.parameters(), lr=0.1), 0.1, 1))
    side.start_round({})
    return side


def moved(model: nn.Module, by: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += by


def test_the_penalty_is_half_mu_times_the_squared_distance() -> None:
    model = nn.Linear(3, 2)  # 8 parameters
    side = started(model, 0.4)
    assert float(side.penalty()) == 0
    moved(model, 0.5)
    assert float(side.penalty()) == pytest.approx(0.4 / 2 * 8 * 0.5**2)


def test_its_gradient_is_mu_times_the_distance() -> None:
    model = nn.Linear(3, 2)
    side = started(model, 0.4)
    moved(model, 0.5)
    penalty = side.penalty()
    assert isinstance(penalty, torch.Tensor)
    penalty.backward()
    for parameter in model.parameters():
        torch.testing.assert_close(parameter.grad, torch.full_like(parameter, 0.4 * 0.5))


def test_mu_is_the_experiments_also_where_the_server_sends_something() -> None:
    model = nn.Linear(1, 1)
    side = started(model, 2.0)
    side.start_round({"fedproxloss_mu": torch.tensor(99.0).numpy()})
    moved(model, 1.0)
    assert float(side.penalty()) == pytest.approx(2.0)


def test_the_start_is_a_frozen_copy() -> None:
    model = nn.Linear(3, 2)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    side = started(model, 0.4)
    assert isinstance(side, ProximalTerm)
    for _ in range(2):
        moved(model, 0.5)
        side.setup.optimizer.zero_grad()
        side.penalty().backward()
        side.setup.optimizer.step()
        side.after_step()
    assert all(torch.equal(one, other) for one, other in zip(side._start, before, strict=True))
    assert not any(values.requires_grad for values in side._start)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_buffers_are_no_part_of_the_distance() -> None:
    model = nn.BatchNorm1d(3)
    side = started(model, 1.0)
    model.running_mean += 5.0  # type: ignore[operator]
    assert float(side.penalty()) == 0


def test_each_round_starts_anew() -> None:
    model = nn.Linear(3, 2)
    side = started(model, 0.4)
    moved(model, 0.5)
    side.start_round({})
    assert float(side.penalty()) == 0


def test_mu_0_is_fedavg() -> None:
    model = nn.Linear(3, 2)
    side = started(model, 0.0)
    moved(model, 0.5)
    assert type(side) is SiteSide
    assert side.penalty() == 0


@pytest.mark.parametrize("mu", [-0.1, math.nan, math.inf])
def test_a_mu_that_is_no_weight_is_refused(mu: float) -> None:
    with pytest.raises(InputError, match=f"--fedproxloss_mu is {mu};"):
        FedProx(fedproxloss_mu=mu)
