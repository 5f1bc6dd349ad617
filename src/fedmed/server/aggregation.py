"""The updates of one round: unusable ones are refused by site, the others are combined in the order of the sites."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fedmed.algorithms.base import Algorithm, Contribution, ServerSetup, ServerSide
from fedmed.core.entries import Entries, only
from fedmed.core.weights import Update, l2_norm
from fedmed.server.buffers import combined_buffers, fault_of_variances
from fedmed.server.update_guard import fault_of, fault_of_kind, fault_of_sums, oversized

MOST = 2.0**53
"""The largest number of steps or cases, below which every whole number is a float of its own."""

NO_UPDATE = "No update of this round could be used"


class UnusableUpdate(ValueError):
    """An update that is refused; the message names the site and the reason."""


class Aggregation:
    """A round's contributions, held until all are there, so that their sum does not depend on who came first.

    Args:
        algorithm: combines them.
        entries: the entries of the model's state dict.
        rounds: the number of rounds of the run.
        sites: the number of its sites.
        max_update_ratio: largest allowed ratio of an update's norm to the median of the other sites'; 0 is no limit.
    """

    def __init__(
        self, algorithm: Algorithm, entries: Entries, rounds: int, sites: int, max_update_ratio: float = 0.0
    ) -> None:
        self.algorithm, self.rounds, self.sites = algorithm, rounds, sites
        self.entries = entries.shared(algorithm.private)
        self.max_update_ratio = max_update_ratio
        self._model: Mapping[str, np.ndarray] = {}
        self._side: ServerSide | None = None
        self._state: Mapping[str, Any] = {}
        self.begin({})

    def begin(self, model: Mapping[str, np.ndarray]) -> None:
        """Begin a round with the global model that is about to be sent; nothing of the last round is left."""
        self._model = {name: np.asarray(values) for name, values in model.items()} or self._model
        self._contributions: dict[str, Contribution] = {}
        self._buffers: dict[str, Update] = {}
        self._uncounted: set[str] = set()
        self.refused: dict[str, str] = {}

    @property
    def side(self) -> ServerSide:
        """The algorithm's server side, made when the first model is known, which states the shapes."""
        if self._side is None:
            shapes = {name: values.shape for name, values in only(self._model, self.entries.trainable).items()}
            self._side = self.algorithm.server(ServerSetup(shapes, self.rounds, self.sites))
            self._side.restore(self._state) if self._state else None
        return self._side

    def restore(self, state: Mapping[str, Any]) -> None:
        """Let the algorithm go on from the state of a checkpoint."""
        self._state = state

    @property
    def usable(self) -> int:
        """The number of updates that can be used so far."""
        return len(self._contributions)

    def refuse(self, site: str, why: str) -> None:
        """Leave a site out of the round."""
        self.refused[site] = why
        self._contributions.pop(site, None)

    def add(self, site: str, update: Update, steps: Any, cases: Any, extras: Mapping[str, Any]) -> None:
        """Take a site's differences of all the entries that it shares, and its algorithm's extras.

        Raises:
            UnusableUpdate: something in them cannot be used.
        """
        fault = self._fault(update, steps, extras)
        if fault:
            self.refuse(site, fault)
            raise UnusableUpdate(f"The update of {site} is refused: {fault}.")
        if not isinstance(cases, int) or isinstance(cases, bool) or not 0 < cases <= MOST:
            self._uncounted.add(site)
            cases = steps
        arrays = {name: np.asarray(values) for name, values in extras.items()}
        trainable = {n: np.asarray(v, self._model[n].dtype) for n, v in only(update, self.entries.trainable).items()}
        self._contributions[site] = Contribution(site, trainable, float(steps), float(cases), arrays)
        self._buffers[site] = only(update, self.entries.statistics + self.entries.counters)

    def _fault(self, update: Update, steps: Any, extras: Mapping[str, Any]) -> str | None:
        if isinstance(steps, bool) or not isinstance(steps, int | float) or not 0 < steps <= MOST:
            return f"it states {steps!r:.30} steps; expected a number above 0 that steps can reach"
        shapes = {name: np.shape(values) for name, values in only(self._model, self.entries.names).items()}
        fault = (
            fault_of(update, shapes)
            or fault_of_kind(update, self.entries.counters)
            or fault_of_variances(self.entries, self._model, update)
            or fault_of_sums(self._model, update)
        )
        if fault:
            return fault
        fault = fault_of(extras, self.side.expected_extras())
        return f"of what its algorithm sends beside, {fault}" if fault else None

    def refuse_oversized(self) -> None:
        """Drop the updates that are far larger than the others, or whose extras are; called when all have come that
        will.
        """
        if not self.max_update_ratio:
            return
        steps = {site: each.steps for site, each in self._contributions.items()}
        norms = {site: l2_norm(each.update) for site, each in self._contributions.items()}
        beside = {site: l2_norm(each.extras) for site, each in self._contributions.items()}
        too_large = oversized(norms, steps, self.max_update_ratio)
        for site, fault in oversized(beside, steps, self.max_update_ratio).items():
            too_large.setdefault(site, f"of what its algorithm sends beside, {fault}")
        for site, fault in too_large.items():
            self.refuse(site, fault)

    def combined(self) -> dict[str, np.ndarray]:
        """The update of the global model, and the end of the round's contributions.

        Raises:
            RuntimeError: no site's update was accepted. The job ends, the global model stays as it is.
        """
        if not self._contributions:
            reasons = "; ".join(f"{site}: {fault}" for site, fault in sorted(self.refused.items()))
            raise RuntimeError(f"{NO_UPDATE} ({reasons}); the global model stays as it was.")
        contributions = self._in_order()
        buffers = [self._buffers[each.site] for each in contributions]
        update = self._checked(self.side.combine(contributions))
        update |= combined_buffers(self.entries, self._model, buffers, [each.cases for each in contributions])
        self._contributions = {}
        return update

    def _checked(self, update: Update) -> dict[str, np.ndarray]:
        """The update that the algorithm combined, in the types of the global model.

        Raises:
            RuntimeError: it has other entries or shapes, or values that are not finite.
        """
        shapes = {name: np.shape(values) for name, values in only(self._model, self.entries.trainable).items()}
        fault = fault_of(update, shapes) or fault_of_sums(self._model, update)
        if fault:
            raise RuntimeError(f"--algorithm {self.algorithm.name} made an update that cannot be used: {fault}.")
        return {name: np.asarray(update[name]).astype(self._model[name].dtype) for name in shapes}

    def _in_order(self) -> list[Contribution]:
        """By the sites' names. Where one does not state its cases, all count by their steps, which compare."""
        found = [self._contributions[site] for site in sorted(self._contributions)]
        if self._uncounted.isdisjoint(self._contributions):
            return found
        return [replace(each, cases=each.steps) for each in found]
