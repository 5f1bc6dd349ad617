"""FedProx: mu/2 |w - w_global|^2 by hand, with its gradient, from a start that does not move."""

import math

import pytest
import torch
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.utils.fedprox_utils import set_fedprox_metadata
from torch import nn

from fedmed.algorithms.base import LocalHook
from fedmed.algorithms.fedprox import FedProx
from fedmed.core.errors import InputError


def message(mu: float | None) -> FLModel:
    """As FLARE's FedAvg sends it: no mu at all where it is 0."""
    model = FLModel(params={}, current_round=0, meta={})
    set_fedprox_metadata(model, mu)
    return model


def started(model: nn.Module, mu: float | None) -> LocalHook:
    hook = FedProx().hook()
    hook.start_round(model, message(mu))
    return hook


def moved(model: nn.Module, by: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += by


def test_the_penalty_is_half_mu_times_the_squared_distance() -> None:
    model = nn.Linear(3, 2)  # 8 parameters
    hook = started(model, 0.4)
    assert float(hook.penalty(model)) == 0
    moved(model, 0.5)
    assert float(hook.penalty(model)) == pytest.approx(0.4 / 2 * 8 * 0.5**2)


def test_its_gradient_is_mu_times_the_distance() -> None:
    model = nn.Linear(3, 2)
    hook = started(model, 0.4)
    moved(model, 0.5)
    hook.penalty(model).backward()
    for parameter in model.parameters():
        torch.testing.assert_close(parameter.grad, torch.full_like(parameter, 0.4 * 0.5))


def test_mu_is_the_one_that_the_server_sent() -> None:
    model = nn.Linear(1, 1)
    hook = FedProx(fedproxloss_mu=99.0).hook()
    hook.start_round(model, message(2.0))
    moved(model, 1.0)
    assert float(hook.penalty(model)) == pytest.approx(2.0)


def test_the_start_is_a_frozen_copy() -> None:
    model = nn.Linear(3, 2)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    hook = started(model, 0.4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        moved(model, 0.5)
        optimizer.zero_grad()
        hook.penalty(model).backward()
        optimizer.step()
    kept = list(hook.start.parameters())
    assert all(torch.equal(one, other) for one, other in zip(kept, before, strict=True))
    assert not any(parameter.requires_grad for parameter in kept)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_each_round_starts_anew() -> None:
    model = nn.Linear(3, 2)
    hook = started(model, 0.4)
    moved(model, 0.5)
    hook.start_round(model, message(0.4))
    assert float(hook.penalty(model)) == 0


def test_mu_0_is_fedavg_which_sends_no_mu() -> None:
    model = nn.Linear(3, 2)
    hook = FedProx(fedproxloss_mu=0.0).hook()
    hook.start_round(model, message(None))
    moved(model, 0.5)
    assert hook.penalty(model) == 0


@pytest.mark.parametrize("mu", [-0.1, math.nan, math.inf])
def test_a_mu_that_is_no_weight_is_refused(mu: float) -> None:
    with pytest.raises(InputError, match=f"--fedproxloss_mu is {mu};"):
        FedProx(fedproxloss_mu=mu)
