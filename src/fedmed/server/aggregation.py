"""The updates of one round: unusable ones are refused by site, the others are combined in the order of the sites."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from fedmed.algorithms.base import Algorithm, Contribution, ServerSetup, ServerSide
from fedmed.core.entries import Entries, only
from fedmed.core.settings import AggregationWeights
from fedmed.core.weights import Update, l2_norm
from fedmed.server.buffers import combined_buffers, fault_of_variances
from fedmed.server.fair_weights import capped, is_whole
from fedmed.server.quorum import NO_ROUND, RoundFailed
from fedmed.server.update_guard import Form, fault_of, fault_of_sums, forms_of, in_type, oversized
from fedmed.server.words import in_short

NO_UPDATE = "No update of this round could be used"

Forge = Callable[[Sequence[Contribution]], Mapping[str, Update]]
"""Gives, from a round's contributions, the updates that attackers have sent in the place of theirs, by site."""


class UnusableUpdate(ValueError):
    """An update that is refused; the message names the site and the reason."""


class Aggregation:
    """A round's contributions, held until all are there, so that their sum does not depend on who came first.

    Args:
        algorithm: combines them.
        entries: those of the model's state dict that sites share.
        rounds: the number of rounds of the run.
        sites: the number of its sites.
        max_update_ratio: largest allowed ratio of an update's norm to the median of the other sites'; 0 is no limit.
        max_weight_ratio: largest ratio of a site's steps and cases, as they count, to the median of the other sites';
            0 is no limit.
        weights: as in :class:`fedmed.core.settings.Training`.

    Attributes:
        refused: by site the reason for which it is left out of the round.
        capped: by site what counts as less than it states, in words.
        counted: by site the share with which its update counted, where the algorithm tells them apart.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        entries: Entries,
        rounds: int,
        sites: int,
        max_update_ratio: float = 0.0,
        max_weight_ratio: float = 0.0,
        weights: AggregationWeights = "auto",
    ) -> None:
        self.algorithm, self.rounds, self.sites, self.weights = algorithm, rounds, sites, weights
        self.entries = entries
        self.max_update_ratio, self.max_weight_ratio = max_update_ratio, max_weight_ratio
        self._model: Mapping[str, np.ndarray] = {}
        self._side: ServerSide | None = None
        self._state: Mapping[str, Any] = {}
        self._stated: dict[str, tuple[int, int | None]] = {}  # steps and cases, which do not change during a job
        self.begin({})

    def begin(self, model: Mapping[str, np.ndarray]) -> None:
        """Begin a round with the global model that is about to be sent; nothing of the last round is left."""
        self._model = {name: np.asarray(values) for name, values in model.items()} or self._model
        self._contributions: dict[str, Contribution] = {}
        self._buffers: dict[str, Update] = {}
        self._measured: dict[str, tuple[Update, float]] = {}
        self.refused: dict[str, str] = {}
        self.capped: dict[str, str] = {}
        self.counted: dict[str, float] = {}

    @property
    def side(self) -> ServerSide:
        """The algorithm's server side, made when the first model is known, which states the shapes."""
        if self._side is None:
            shapes = {name: values.shape for name, values in only(self._model, self.entries.trainable).items()}
            self._side = self.algorithm.server(ServerSetup(shapes, self.rounds, self.sites, self.weights))
            self._side.restore(self._state) if self._state else None
        return self._side

    def restore(self, state: Mapping[str, Any]) -> None:
        """Let the algorithm go on from the state of a checkpoint."""
        self._state = state

    @property
    def usable(self) -> int:
        """The number of updates that can be used so far."""
        return len(self._contributions)

    @property
    def steps(self) -> dict[str, float]:
        """Steps as they count by site, of the updates that can be used so far."""
        return {site: each.steps for site, each in self._contributions.items()}

    def refuse(self, site: str, why: str) -> None:
        """Leave a site out of the round."""
        self.refused[site] = in_short(why)
        self._contributions.pop(site, None)

    def add(self, site: str, update: Update, steps: Any, cases: Any, extras: Mapping[str, Any]) -> None:
        """Take a site's differences of all the entries that it shares, and its algorithm's extras.

        Args:
            cases: None where counts do not leave the site.

        Raises:
            UnusableUpdate: something in them cannot be used.
        """
        fault = self._fault_of_size(site, steps, cases) or self._fault(update, extras)
        if fault:
            self.refuse(site, fault)
            raise UnusableUpdate(f"The update of {site} is refused: {self.refused[site]}.")
        mine = {name: in_type(update[name], self._model[name].dtype) for name in self.entries.names}
        arrays = {name: in_type(values, self._kind) for name, values in extras.items()}
        counted = math.nan if cases is None else float(cases)
        self._contributions[site] = Contribution(
            site, only(mine, self.entries.trainable), float(steps), counted, arrays
        )
        self._buffers[site] = only(mine, self.entries.statistics + self.entries.counters)

    def add_statistics(self, site: str, update: Update, cases: Any) -> None:
        """Take the differences of the running statistics that a site has measured on the global model.

        Raises:
            UnusableUpdate: something in them cannot be used.
        """
        names = self.entries.statistics
        fault = None if is_whole(cases) else f"it states {cases!r:.30} training cases; expected a whole number from 1"
        fault = fault or fault_of(update, forms_of(only(self._model, names))) or self._fault_of_floats(update, names)
        if fault:
            self.refuse(site, fault)
            raise UnusableUpdate(f"The running statistics of {site} cannot be used: {self.refused[site]}.")
        self._measured[site] = {name: in_type(update[name], self._model[name].dtype) for name in names}, float(cases)

    def combined_statistics(self) -> dict[str, np.ndarray]:
        """The update of the global model's running statistics from those that sites measured; nothing of none.

        Sites with statistics far larger than the others' are refused, and a site's cases count as in a round.
        """
        norms = {site: l2_norm(update) for site, (update, _) in self._measured.items()}
        alike = dict.fromkeys(norms, 1.0)
        for site, fault in oversized(norms, alike, self.max_update_ratio).items() if self.max_update_ratio else ():
            self.refuse(site, fault)
            del self._measured[site]
        sites = sorted(self._measured)
        if not sites:
            return {}
        cases = capped({site: self._measured[site][1] for site in sites}, self.max_weight_ratio)
        statistics = Entries((), self.entries.statistics)
        updates = [self._measured[site][0] for site in sites]
        return combined_buffers(statistics, self._model, updates, [cases[site] for site in sites])

    def _fault_of_size(self, site: str, steps: Any, cases: Any) -> str | None:
        """A site's steps and training cases are whole and, unless it begins anew with a resumed run, constant."""
        if not is_whole(steps):
            return f"it states {steps!r:.30} steps; expected a whole number from 1 that steps can reach"
        if cases is not None and not is_whole(cases):
            return f"it states {cases!r:.30} training cases; expected a whole number from 1"
        before = self._stated.setdefault(site, (steps, cases))
        if (steps, cases) == before:
            return None
        return f"it states {steps} steps and {cases} cases and stated {before[0]} and {before[1]}; expected no change"

    @property
    def _kind(self) -> np.dtype[Any]:
        """The type of extras: that of the global model's parameters."""
        return np.result_type(*only(self._model, self.entries.trainable).values())

    def _fault(self, update: Update, extras: Mapping[str, Any]) -> str | None:
        fault = fault_of(update, forms_of(only(self._model, self.entries.names)))
        if fault:
            return fault
        fault = self._fault_of_floats(update, self.entries.trainable + self.entries.statistics)
        if fault:
            return fault
        fault = fault_of(extras, {name: Form(shape, self._kind) for name, shape in self.side.expected_extras().items()})
        return f"of what its algorithm sends beside, {fault}" if fault else None

    def _fault_of_floats(self, update: Update, names: Sequence[str]) -> str | None:
        """The first of these entries that would hold no value that a network can use."""
        mine = {name: in_type(update[name], self._model[name].dtype) for name in names}
        return fault_of_variances(self.entries, self._model, mine) or fault_of_sums(self._model, mine)

    def settle(self) -> None:
        """Decide how much each site counts and drop what is far larger than the others'; called when all have come.

        The same number of steps decides a site's weight and how large its update may be.
        """
        self._cap("steps")
        self._cap("cases")
        if not self.max_update_ratio:
            return
        found = self._contributions
        parts = {
            "": {site: l2_norm(each.update) for site, each in found.items()},
            "of its running statistics, ": {s: l2_norm(only(self._buffers[s], self.entries.statistics)) for s in found},
            "of what its algorithm sends beside, ": {
                site: l2_norm(_arrays(each.extras)) for site, each in found.items()
            },
        }
        too_large: dict[str, str] = {}
        for part, norms in parts.items():
            for site, fault in oversized(norms, self.steps, self.max_update_ratio).items():
                too_large.setdefault(site, part + fault)
        for site, fault in too_large.items():
            self.refuse(site, fault)

    def _cap(self, which: Literal["steps", "cases"]) -> None:
        """Cap the sites' steps or cases, where they are stated."""
        stated = {site: float(getattr(each, which)) for site, each in self._contributions.items()}
        stated = {site: number for site, number in stated.items() if not math.isnan(number)}
        for site, number in capped(stated, self.max_weight_ratio).items():
            if number < stated[site]:
                times = f"{self.max_weight_ratio:g} times the others'"
                words = f"its {stated[site]:.0f} {which} count as {number:.6g}, {times}"
                self.capped[site] = "; ".join(filter(None, [self.capped.get(site), words]))
                found = self._contributions[site]
                changed = replace(found, steps=number) if which == "steps" else replace(found, cases=number)
                self._contributions[site] = changed

    def combined(self, forge: Forge = lambda contributions: {}) -> dict[str, np.ndarray]:
        """The update of the global model, and the end of the round's contributions.

        Args:
            forge: an attack, for study; it comes after all checks of single updates.

        Raises:
            RuntimeError: no site's update was accepted, or too few for the algorithm. The job ends, the global model
                stays as it is.
        """
        self._require_enough()
        contributions = self._in_order()
        buffers = [self._buffers[each.site] for each in contributions]
        forged = forge(contributions)
        update = self._checked(
            self.side.combine([replace(each, update=forged.get(each.site, each.update)) for each in contributions])
        )
        self.counted = dict(self.side.shares())
        cases = [each.cases for each in contributions]
        update |= combined_buffers(self.entries, self._model, buffers, cases, self.max_weight_ratio)
        self._contributions = {}
        return update

    def _require_enough(self) -> None:
        """Raise where the algorithm cannot make a round of so few updates."""
        found, least = len(self._contributions), self.algorithm.least_updates
        reasons = "; ".join(f"{site}: {fault}" for site, fault in sorted(self.refused.items()))
        if not found:
            raise RuntimeError(f"{NO_UPDATE} ({reasons}); the global model stays as it was.")
        if found < least:
            raise RoundFailed(
                f"{NO_ROUND} --algorithm {self.algorithm.name} needs {least} usable updates in a round and has {found}"
                + (f" ({reasons})" if reasons else "")
                + "; the global model stays as it was."
            )

    def _checked(self, update: Update) -> dict[str, np.ndarray]:
        """The update that the algorithm combined, in the types of the global model.

        Raises:
            RuntimeError: it has other entries or shapes, or values that are not finite.
        """
        forms = forms_of(only(self._model, self.entries.trainable))
        fault = fault_of(update, forms)
        found = {} if fault else {name: in_type(update[name], form.kind) for name, form in forms.items()}
        fault = fault or fault_of_sums(self._model, found)
        if fault:
            raise RuntimeError(f"--algorithm {self.algorithm.name} made an update that cannot be used: {fault}.")
        return found

    def _in_order(self) -> list[Contribution]:
        """Contributions in the order of the sites' names.

        Where one does not state its cases, all count by their steps, which compare.
        """
        found = [self._contributions[site] for site in sorted(self._contributions)]
        if not any(math.isnan(each.cases) for each in found):
            return found
        return [replace(each, cases=each.steps) for each in found]


def _arrays(extras: Mapping[str, np.ndarray]) -> Update:
    """Extras but for facts of shape (), such as counts, which would hide how large the others are."""
    return {name: values for name, values in extras.items() if values.ndim}
