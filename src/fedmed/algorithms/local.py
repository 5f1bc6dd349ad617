"""Every site alone: the baseline without federation. No model and no update is shared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fedmed.algorithms.base import Algorithm, LocalHook, Weights
from fedmed.algorithms.updates import Update
from fedmed.core.errors import InputError

if TYPE_CHECKING:
    from fedmed.experiment import Experiment


@dataclass(frozen=True)
class Local(Algorithm):
    """Rounds, schedule and scores are those of the other algorithms, so that results compare."""

    GLOBAL_MODEL: ClassVar[bool] = False

    def check(self, experiment: "Experiment") -> None:
        mechanism = experiment.privacy
        if mechanism.GUARANTEE != "none":
            raise InputError(
                f"--algorithm local sends no update, so --privacy {mechanism.name} would protect nothing; drop one."
            )

    def combine(self, updates: Sequence[Update], steps: Sequence[float]) -> Update:
        """Zero, whatever was sent: the server's model stays the untrained one."""
        return {name: np.zeros_like(values) for name, values in updates[0].items()}

    def hook(self) -> LocalHook:
        return OwnWeights()

    def statement(self) -> str:
        return "local: no global model; each site's own models are in sites/"


class OwnWeights(LocalHook):
    """Goes on from the site's own weights, and sends back what came, which FLARE makes a difference of zero."""

    def starting_weights(self, received: Weights, own: Weights | None) -> Weights:
        return received if own is None else own

    def outgoing(self, weights: Weights, received: Weights) -> Weights:
        return received


PLUGIN = Local
