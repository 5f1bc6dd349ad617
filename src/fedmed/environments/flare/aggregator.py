"""Collects the sites' updates of a round, refuses unusable ones by name, and combines the rest in site order."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from nvflare.apis.fl_constant import FLMetaKey
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator

from fedmed.algorithms.base import Algorithm
from fedmed.algorithms.updates import Update, fault_of, norm_of, oversized
from fedmed.core import registry
from fedmed.core.options import from_plain

NO_UPDATE = "No update of this round could be used"


class GuardedAggregator(ModelAggregator):
    """Holds a round's updates until all are there, so that their sum does not depend on who came first.

    Args:
        algorithm: the algorithm's name and options, as in the experiment file.
        max_update_ratio: how many times larger than the other sites' an update may be; 0 is no limit.
    """

    def __init__(self, algorithm: dict[str, Any], max_update_ratio: float = 0.0) -> None:
        super().__init__()
        self.algorithm = algorithm
        self.max_update_ratio = max_update_ratio
        self.shapes: Mapping[str, tuple[int, ...]] = {}
        self.reset_stats()

    def expect(self, params: Mapping[str, np.ndarray]) -> None:
        """Say what the updates of this round must look like: the global model that is about to be sent."""
        self.shapes = {name: np.shape(values) for name, values in params.items()}

    def reset_stats(self) -> None:
        self.updates: dict[str, Update] = {}
        self.steps: dict[str, float] = {}
        self.refused: dict[str, str] = {}

    def accept_model(self, model: FLModel) -> None:
        """Keep a site's update.

        Raises:
            ValueError: it cannot be used; FLARE then goes on without it.
        """
        site, steps = model.meta["client_name"], model.meta.get(FLMetaKey.NUM_STEPS_CURRENT_ROUND)
        fault = _fault(model, self.shapes, steps)
        if fault:
            self.refused[site] = fault
            raise ValueError(f"The update of {site} is refused: {fault}.")
        self.updates[site] = model.params
        self.steps[site] = float(steps)

    def refuse_oversized(self) -> None:
        """Drop the updates that are far larger than the others; called when all that will come have come."""
        if self.max_update_ratio:
            norms = {site: norm_of(update) for site, update in self.updates.items()}
            for site, fault in oversized(norms, self.steps, self.max_update_ratio).items():
                self.refused[site] = fault
                del self.updates[site]

    def aggregate_model(self) -> FLModel:
        """The combined update.

        Raises:
            RuntimeError: no site's update was accepted. The job ends, the global model stays as it is.
        """
        if not self.updates:
            reasons = "; ".join(f"{site}: {fault}" for site, fault in sorted(self.refused.items()))
            raise RuntimeError(f"{NO_UPDATE} ({reasons}); the global model stays as it was.")
        options = dict(self.algorithm)
        algorithm: Algorithm = from_plain(registry.find("algorithm", options.pop("name")), options)
        sites = sorted(self.updates)
        combined = algorithm.combine([self.updates[s] for s in sites], [self.steps[s] for s in sites])
        self.updates = {}
        return FLModel(params=dict(combined), params_type=ParamsType.DIFF)


def _fault(model: FLModel, shapes: Mapping[str, tuple[int, ...]], steps: Any) -> str | None:
    if model.params_type != ParamsType.DIFF:
        return f"it holds {model.params_type} parameters; expected weight differences"
    if isinstance(steps, bool) or not isinstance(steps, int | float) or not 0 < steps < float("inf"):
        return f"it states {steps!r} steps; expected a finite number above 0"
    return fault_of(model.params, shapes)
