"""FedProx: FedAvg with mu/2 |w - w_global|^2 added to every site's loss (Li et al. 2020, MLSys, equation 2)."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.utils.fedprox_utils import get_fedprox_mu
from nvflare.app_opt.pt.fedproxloss import PTFedProxLoss
from nvflare.recipe.spec import Recipe
from torch import nn

from fedmed.algorithms.base import Algorithm, LocalHook
from fedmed.core.options import expect_at_least, option


@dataclass(frozen=True)
class FedProx(Algorithm):
    """mu = 0 is FedAvg."""

    fedproxloss_mu: float = option(0.01, "weight of the proximal term; 0 is FedAvg")

    def __post_init__(self) -> None:
        expect_at_least("fedproxloss_mu", self.fedproxloss_mu, 0)

    def recipe(self, **settings: Any) -> Recipe:
        if self.fedproxloss_mu == 0:  # FLARE's recipe refuses 0
            return super().recipe(**settings)
        from fedmed.environments.flare.recipe import GuardedFedProxRecipe

        return GuardedFedProxRecipe(fedprox_mu=self.fedproxloss_mu, **settings)

    def hook(self) -> LocalHook:
        return ProximalTerm() if self.fedproxloss_mu > 0 else LocalHook()


class ProximalTerm(LocalHook):
    """Keeps a frozen copy of the weights that the round started from; mu comes with the server's message."""

    def start_round(self, model: nn.Module, received: FLModel) -> None:
        self.term = PTFedProxLoss(get_fedprox_mu(received))
        self.start = copy.deepcopy(model).requires_grad_(False)

    def penalty(self, model: nn.Module) -> torch.Tensor | float:
        return self.term(model, self.start)


PLUGIN = FedProx
