"""The optimisers by name: each takes the steps that its rule says, with the rate of each group."""

import math

import pytest
import torch
from torch import nn

from fedmed.core.optimizer import IN_WORDS, make_optimizer


def moved(name: str, gradients: tuple[float, ...], weight_decay: float = 0.0, rate: float = 0.1) -> float:
    """Where steps with these gradients lead a parameter that begins at 1."""
    parameter = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = make_optimizer(name, [{"params": [parameter], "lr": rate}], weight_decay)
    for gradient in gradients:
        parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()
    return parameter.item()


@pytest.mark.parametrize("name", ["adam", "adamw"])
@pytest.mark.parametrize("gradient", [1e-3, 1.0, 1e3])
def test_adams_first_step_is_the_rate_however_small_the_gradient(name: str, gradient: float) -> None:
    assert moved(name, (gradient,)) == pytest.approx(0.9, abs=2e-6)


def test_sgd_steps_by_nesterovs_rule() -> None:
    first = 1 - 0.1 * (2 + 0.9 * 2)
    assert moved("sgd", (2.0,)) == pytest.approx(first)
    velocity = 0.9 * 2 + 3
    assert moved("sgd", (2.0, 3.0)) == pytest.approx(first - 0.1 * (3 + 0.9 * velocity))


def test_weight_decay_is_part_of_the_gradient_but_for_adamw() -> None:
    assert moved("sgd", (0.0,), weight_decay=0.5) == pytest.approx(1 - 0.1 * 0.5 * 1.9)
    assert moved("adam", (0.0,), weight_decay=0.5) == pytest.approx(0.9, abs=1e-6)  # its size is lost, as a gradient's
    assert moved("adamw", (0.0,), weight_decay=0.5) == pytest.approx(1 - 0.1 * 0.5)


@pytest.mark.parametrize("name", sorted(IN_WORDS))
def test_each_group_has_its_own_rate(name: str) -> None:
    slow, fast = (nn.Parameter(torch.zeros(2)) for _ in range(2))
    optimizer = make_optimizer(name, [{"params": [slow], "lr": 0.01}, {"params": [fast], "lr": 0.1}], 0.0)
    slow.grad = fast.grad = torch.ones(2)
    optimizer.step()
    assert all(math.isclose(a, 10 * b, rel_tol=1e-5) for a, b in zip(fast.tolist(), slow.tolist(), strict=True))
