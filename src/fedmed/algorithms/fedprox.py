"""FedProx: FedAvg with mu/2 |w - w_global|^2 added to every site's loss (Li et al. 2020, MLSys, equation 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedmed.algorithms.base import Algorithm, Extras, SiteSetup, SiteSide
from fedmed.core.options import expect_between, option

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class FedProx(Algorithm):
    """mu = 0 is FedAvg."""

    fedproxloss_mu: float = option(0.01, "weight of the proximal term; 0 is FedAvg")

    def __post_init__(self) -> None:
        expect_between("fedproxloss_mu", self.fedproxloss_mu, 0, 1000)

    def site(self, setup: SiteSetup) -> SiteSide:
        return ProximalTerm(setup, self.fedproxloss_mu) if self.fedproxloss_mu > 0 else SiteSide(setup)


class ProximalTerm(SiteSide):
    """A penalty on the distance of the trainable entries to those with which the round began."""

    def __init__(self, setup: SiteSetup, mu: float) -> None:
        super().__init__(setup)
        self.mu = mu
        self._start: list[torch.Tensor] = []

    def start_round(self, message: Extras) -> None:
        self._start = [parameter.detach().clone() for parameter in self.setup.model.parameters()]

    def penalty(self) -> torch.Tensor:
        """mu/2 times the squared Euclidean distance, a scalar."""
        import torch

        pairs = zip(self.setup.model.parameters(), self._start, strict=True)
        return self.mu / 2 * torch.stack([(now - start).square().sum() for now, start in pairs]).sum()


PLUGIN = FedProx
