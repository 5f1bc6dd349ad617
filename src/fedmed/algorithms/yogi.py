"""The Yogi optimiser in the form that adaptive federated optimisation gives it."""

from collections.abc import Iterable
from typing import Any

import torch


class Yogi(torch.optim.Optimizer):
    """Yogi (Zaheer et al. 2018) as in algorithm 2 of Reddi et al. 2021: second moments begin at ``eps`` squared.

    There is no bias correction. A second moment v moves towards the squared gradient g by (1 - beta2) g^2 at most, so
    that it falls slowly after a large gradient.

    Args:
        lr: above 0.
        betas: of the first and the second moments, in [0, 1).
        eps: added to the root of the second moment, above 0.
    """

    def __init__(self, params: Iterable[torch.Tensor], lr: float, betas: tuple[float, float], eps: float) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step by the gradients that the parameters have; ``closure`` is not called."""
        for group in self.param_groups:
            first, second = group["betas"]
            for parameter in group["params"]:
                state = self.state[parameter]
                if not state:
                    state["mean"] = torch.zeros_like(parameter)
                    state["square"] = torch.full_like(parameter, group["eps"] ** 2)
                mean, square, new = state["mean"], state["square"], parameter.grad.square()
                mean.mul_(first).add_(parameter.grad, alpha=1 - first)
                square.sub_((1 - second) * new * torch.sign(square - new))
                parameter.sub_(group["lr"] * mean / (square.sqrt() + group["eps"]))
