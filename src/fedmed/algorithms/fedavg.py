"""Federated averaging: the mean of the sites' updates, weighted by their steps (McMahan et al. 2017)."""

from dataclasses import dataclass

from fedmed.algorithms.base import Algorithm


@dataclass(frozen=True)
class FedAvg(Algorithm):
    """The base contract as it is."""


PLUGIN = FedAvg
