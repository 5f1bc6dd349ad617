"""Ditto: FedAvg, and beside it a personal model at every site (Li et al. 2021, arXiv 2012.04221, algorithm 1)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from fedmed.algorithms.base import Algorithm, SiteSetup, SiteSide
from fedmed.algorithms.fedprox import ProximalTerm
from fedmed.core.errors import InputError
from fedmed.core.options import expect_between, option
from fedmed.core.plugin import ExperimentView


@dataclass(frozen=True)
class Ditto(Algorithm):
    """The personal model v of a site minimises F(v) + lambda/2 |v - w|^2, w being the model that a round begins with.

    v begins as w in the site's first round and is trained in every round of the site's for as many epochs, with an
    optimiser's state of its own. Nothing of it reaches w, so that the global model is FedAvg's to the bit. The default
    lambda is the paper's for sites with too few validation cases to choose one.
    """

    ditto_lambda: float = option(
        1.0, "pull of each site's personal model to the global one; 0 trains it as the site alone would"
    )

    RESULT: ClassVar[Literal["both"]] = "both"

    def __post_init__(self) -> None:
        expect_between("ditto_lambda", self.ditto_lambda, 0, 1000)

    def check(self, experiment: ExperimentView) -> None:
        super().check(experiment)
        training, mechanism = experiment.training, experiment.privacy
        if training.n_clients == 1:
            raise InputError(
                "--algorithm ditto pulls a personal model at each site to that of all sites, and --n_clients is 1; "
                "give more sites, or --algorithm fedavg."
            )
        if training.cross_site:
            raise InputError(
                "--cross_site sends every site's own model whole, and the personal models of --algorithm ditto never "
                "leave their sites; drop one of them."
            )
        if mechanism.acts_while_training:
            raise InputError(
                f"--privacy {mechanism.name} makes a site's training private, and --algorithm ditto trains a personal "
                "model beside it on the same patients, which no accounting here covers; choose fedavg or fedprox, or a "
                "mechanism that acts on the update, such as gaussian."
            )

    def personal(self, setup: SiteSetup) -> SiteSide:
        return ProximalTerm(setup, self.ditto_lambda) if self.ditto_lambda > 0 else SiteSide(setup)

    @property
    def unsent(self) -> str:
        return "each site's personal model"

    def statement(self) -> str:
        return (
            f"ditto: fedavg, and at each site a personal model that stays there, lambda {self.ditto_lambda:g}; twice "
            "the training time and state"
        )


PLUGIN = Ditto
