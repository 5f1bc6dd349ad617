"""SCAFFOLD: each site's gradients are corrected for how they differ from all sites' (Karimireddy et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fedmed.algorithms.base import (
    Algorithm,
    Contribution,
    Extras,
    ServerSetup,
    ServerSide,
    SiteSetup,
    SiteSide,
)
from fedmed.core.errors import InputError
from fedmed.core.plugin import ExperimentView
from fedmed.core.weights import Update

if TYPE_CHECKING:
    import torch

GENERATION = "scaffold/generation"
"""In the server's message: how often all control variates have begun anew at 0."""

ROUNDS = "scaffold/rounds"
"""In a site's extras: the rounds, since they last began anew, that the site's control variate came from."""


@dataclass(frozen=True)
class Scaffold(Algorithm):
    """SCAFFOLD (Karimireddy et al. 2020, arXiv 1910.06378, algorithm 1 with option II for the control variates).

    Each step at site i takes g - c_i + c for its gradient g. Here c_i is the mean of g over the steps of the site's
    last round. For plain SGD with K steps at one rate that is the paper's c_i - c + (x - y) / (K rate) in other words.
    Unlike it, it needs no rate and leaves out weight decay, so that it also holds for momentum, for parts of a network
    with a rate of their own, and for Adam. c is the mean of c_i over all sites of the run, weighted by
    ``--aggregation_weights`` as the mean of the updates is; the paper's is ``uniform``. A site that has not yet trained
    counts with c_i = 0.

    Momentum is linear in the gradients, so corrections cancel in the mean over sites as they do for plain SGD. Adam
    divides them by sizes that differ among sites, so they do not.
    """

    SENDS_EXTRAS: ClassVar[str] = "the change of its control variate"
    NEEDS_LAST_STEP: ClassVar[str] = "its control variate, the mean gradient of all steps"

    def check(self, experiment: ExperimentView) -> None:
        super().check(experiment)
        if experiment.training.n_clients == 1:
            raise InputError(
                "--algorithm scaffold corrects a site's gradients towards those of all sites, and --n_clients is 1, so "
                "there is nothing to correct; choose fedavg, or give more sites."
            )

    def warnings(self, experiment: ExperimentView) -> tuple[str, ...]:
        training = experiment.training
        if training.optimizer == "sgd":
            return ()
        low, high = 10 * training.learning_rate, 100 * training.learning_rate
        return (
            f"--algorithm scaffold corrects gradients, which --optimizer {training.optimizer} then scales differently "
            f"at each site; --optimizer sgd --learning_rate {low:g} (up to {high:g}) is what it is made for.",
        )

    def statement(self) -> str:
        return "scaffold: gradients corrected by control variates, whose changes leave each site beside its update"

    def server(self, setup: ServerSetup) -> ServerSide:
        return ControlVariates(setup)

    def site(self, setup: SiteSetup) -> SiteSide:
        return CorrectedGradients(setup)


class ControlVariates(ServerSide):
    """Keeps the weighted sum of the sites' control variates, to which each round adds the changes that sites send.

    The sum stays that of the sites' own only if each change is added once. A site whose state was lost, or whose last
    answer came too late or was refused, has another control variate than the sum holds; its number of rounds tells.
    Then all begin anew at 0, which costs one round without correction.
    """

    def __init__(self, setup: ServerSetup) -> None:
        super().__init__(setup)
        self._begin(generation=0)

    def _begin(self, generation: int) -> None:
        self._generation = generation
        self._sum: Update = {name: np.zeros(shape, np.float32) for name, shape in self.setup.shapes.items()}
        self._rounds: dict[str, int] = {}
        self._weights: dict[str, float] = {}  # each site's of its first round: later ones may be capped otherwise

    def message(self) -> Extras:
        total = self.setup.sites * float(np.mean(list(self._weights.values()))) if self._weights else 1.0
        mean = {name: values / total for name, values in self._sum.items()}
        return {**mean, GENERATION: np.array(self._generation, np.float32)}

    def expected_extras(self) -> Mapping[str, tuple[int, ...]]:
        return {**self.setup.shapes, ROUNDS: ()}

    def combine(self, contributions: Sequence[Contribution]) -> Update:
        if all(float(each.extras[ROUNDS]) == self._rounds.get(each.site, 0) for each in contributions):
            self._add(contributions)
        else:
            self._begin(self._generation + 1)
        return super().combine(contributions)

    def _add(self, contributions: Sequence[Contribution]) -> None:
        for each, weight in zip(contributions, self.weights(contributions), strict=True):
            constant = self._weights.setdefault(each.site, weight)
            self._rounds[each.site] = self._rounds.get(each.site, 0) + 1
            self._sum = {name: values + constant * each.extras[name] for name, values in self._sum.items()}

    def state(self) -> dict[str, Any]:
        import torch

        sums = {name: torch.from_numpy(np.array(values)) for name, values in self._sum.items()}
        return {"generation": self._generation, "sum": sums, "rounds": self._rounds, "weights": self._weights}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._generation = state["generation"]
        self._rounds, self._weights = dict(state["rounds"]), dict(state["weights"])
        self._sum = {name: values.numpy() for name, values in state["sum"].items()}


class CorrectedGradients(SiteSide):
    """Adds <c - c_i, w> to the loss, whose gradient is the correction, and takes the mean of the gradients of a round.

    The product is outside of autocast, in the weights' own type. Parameters that do not train in a round keep their
    control variate. State: c_i, of how many rounds, and the server's count of beginnings to which it belongs.
    """

    def __init__(self, setup: SiteSetup) -> None:
        super().__init__(setup)
        self._begin(generation=0)

    def _begin(self, generation: int) -> None:
        self._generation, self._rounds = generation, 0
        self._own: dict[str, torch.Tensor] = {}

    def start_round(self, message: Extras) -> None:
        import torch

        self._expect(message)
        if int(message[GENERATION]) != self._generation:
            self._begin(int(message[GENERATION]))
        self._trained = {name: each for name, each in self.setup.model.named_parameters() if each.requires_grad}
        self._mean = {name: torch.as_tensor(message[name]).to(each) for name, each in self._trained.items()}
        self._correction = {name: mean - self._own_of(name, mean) for name, mean in self._mean.items()}
        self._summed = {name: torch.zeros_like(each) for name, each in self._trained.items()}

    def _own_of(self, name: str, like: torch.Tensor) -> torch.Tensor | float:
        """The site's control variate of a parameter, on the device of another tensor; 0 before the first round."""
        return self._own[name].to(like) if name in self._own else 0.0

    def _expect(self, message: Extras) -> None:
        """Refuse a message that lacks a control variate, or has one of another shape or not of finite values.

        Raises:
            InputError: it does.
        """
        shapes = {name: tuple(each.shape) for name, each in self.setup.model.named_parameters()}
        for name, shape in {**shapes, GENERATION: ()}.items():
            if name not in message or np.shape(message[name]) != shape or not np.isfinite(message[name]).all():
                raise InputError(f"The server sent no finite {name} of the shape {shape} with its control variate.")

    def penalty(self) -> torch.Tensor:
        """The sum of <c - c_i, w> over the parameters that train, a scalar."""
        import torch

        return torch.stack([(self._correction[name] * each).sum() for name, each in self._trained.items()]).sum()

    def after_step(self) -> None:
        for name, each in self._trained.items():
            if each.grad is not None:
                self._summed[name] += each.grad

    def end_round(self, steps: int) -> None:
        self._change = {name: (summed / steps - self._mean[name]).cpu() for name, summed in self._summed.items()}
        self._own |= {name: change + self._own_of(name, change) for name, change in self._change.items()}
        self._rounds += 1

    def extras(self) -> Extras:
        """The changes of c_i by name, 0 where nothing trained, and the number of earlier rounds that made c_i."""
        import torch

        first = {id(each): name for name, each in self.setup.model.named_parameters()}  # of a tied one's several names
        every = self.setup.model.named_parameters(remove_duplicate=False)
        changes = {name: self._change.get(first[id(each)], torch.zeros(each.shape)).numpy() for name, each in every}
        return {**changes, ROUNDS: np.array(self._rounds - 1, np.float32)}

    def state(self) -> dict[str, Any]:
        return {"generation": self._generation, "rounds": self._rounds, "own": dict(self._own)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._generation, self._rounds, self._own = state["generation"], state["rounds"], dict(state["own"])


PLUGIN = Scaffold
