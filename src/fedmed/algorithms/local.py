"""Every site alone: the baseline without federation. No model and no update is shared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from fedmed.algorithms.base import Algorithm, Contribution, ServerSetup, ServerSide, SiteSetup, SiteSide
from fedmed.core.errors import InputError
from fedmed.core.plugin import ExperimentView
from fedmed.core.weights import Update, Weights


@dataclass(frozen=True)
class Local(Algorithm):
    """Rounds, schedule and scores are those of the other algorithms, so that results compare."""

    RESULT: ClassVar[Literal["own"]] = "own"

    def check(self, experiment: ExperimentView) -> None:
        super().check(experiment)
        mechanism = experiment.privacy
        if mechanism.GUARANTEE != "none":
            raise InputError(
                f"--algorithm local sends no update, so --privacy {mechanism.name} would protect nothing; drop one."
            )
        weights = experiment.training.aggregation_weights
        if weights != "auto":
            raise InputError(
                f"--algorithm local averages nothing, so --aggregation_weights {weights} would weigh nothing; drop one."
            )

    def server(self, setup: ServerSetup) -> ServerSide:
        return UntrainedModel(setup)

    def site(self, setup: SiteSetup) -> SiteSide:
        return OwnWeights(setup)

    def statement(self) -> str:
        return "local: no global model; each site's own models are in sites/"


class UntrainedModel(ServerSide):
    """The server's model stays as it was, whatever was sent."""

    def combine(self, contributions: Sequence[Contribution]) -> Update:
        return {name: np.zeros_like(values) for name, values in contributions[0].update.items()}


class OwnWeights(SiteSide):
    """A round begins with the site's own weights, and the site's update is zero."""

    def starting_weights(self, received: Weights, own: Weights | None) -> Weights:
        return received if own is None else own

    def outgoing(self, trained: Weights, received: Weights) -> Weights:
        return received


PLUGIN = Local
