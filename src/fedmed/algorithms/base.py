"""The contract of an algorithm: its server side, its site side, and which entries of the model it shares."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from fedmed.algorithms.averaging import site_weights, weighted_mean
from fedmed.core.entries import Part, Parts
from fedmed.core.errors import InputError
from fedmed.core.plugin import ExperimentView, Plugin
from fedmed.core.settings import AggregationWeights
from fedmed.core.weights import Update, Weights

if TYPE_CHECKING:
    import torch
    from torch import nn

Extras = Mapping[str, np.ndarray]
"""Arrays that an algorithm sends beside weights and updates, by name."""


@dataclass(frozen=True)
class Contribution:
    """A site's answer in a round, as the server's side of an algorithm combines it.

    Attributes:
        update: differences of the trainable entries that the site shares.
        steps: optimiser steps of the round.
        cases: training cases; the steps where counts do not leave the site.
        extras: arrays of the algorithm's own.
    """

    site: str
    update: Update
    steps: float
    cases: float
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True)
class ServerSetup:
    """The parts of a run that the server's side of an algorithm may use.

    Attributes:
        shapes: the shapes of the trainable entries that sites share.
        rounds: the number of rounds of the run.
        sites: the number of sites of the run, whoever answers in a round.
        weights: as in :class:`fedmed.core.settings.Training`.
    """

    shapes: Mapping[str, tuple[int, ...]]
    rounds: int
    sites: int
    weights: AggregationWeights = "auto"


@dataclass
class SiteSetup:
    """The parts of a site that the site's side of an algorithm works with.

    Attributes:
        model: the network that is trained.
        optimizer: its optimiser.
        learning_rate: of the round.
        cases: the number of the site's training cases.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    learning_rate: float
    cases: int


class ServerSide:
    """The server's side of an algorithm, made once a job. This one is FedAvg's."""

    WEIGHTS: ClassVar[AggregationWeights] = "steps"
    """The size by which sites count where the experiment leaves that to the algorithm."""

    def __init__(self, setup: ServerSetup) -> None:
        self.setup = setup

    def weights(self, contributions: Sequence[Contribution]) -> list[float]:
        """The sites' weights in a mean, above 0, by ``--aggregation_weights``."""
        by = self.WEIGHTS if self.setup.weights == "auto" else self.setup.weights
        return site_weights(by, [each.steps for each in contributions], [each.cases for each in contributions])

    def message(self) -> Extras:
        """Arrays that every site gets beside the global model."""
        return {}

    def expected_extras(self) -> Mapping[str, tuple[int, ...]]:
        """The shapes of the arrays that every site must send beside its update.

        One of shape () is a fact, such as a count: it has no part in the norm by which large extras are refused.
        """
        return {}

    def combine(self, contributions: Sequence[Contribution]) -> Update:
        """The global model's update from those of the sites, which come in the order of the sites' names."""
        return weighted_mean([each.update for each in contributions], self.weights(contributions))

    def shares(self) -> Mapping[str, float]:
        """The share, 0 to 1, with which each site's update counted in the last :meth:`combine`; empty where that leaves
        nobody out and counts all as they are.
        """
        return {}

    def state(self) -> dict[str, Any]:
        """Tensors, numbers and containers of them that the next round needs; part of the checkpoint."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` returned in an earlier job of the run."""


class SiteSide:
    """A site's side of an algorithm, made once a process. This one, FedAvg's, adds nothing to plain training."""

    def __init__(self, setup: SiteSetup) -> None:
        self.setup = setup

    def starting_weights(self, received: Weights, own: Weights | None) -> Weights:
        """The weights with which a round begins, and which are scored before it.

        Args:
            received: the global model, with this site's private entries in the places of the server's.
            own: the weights after the site's last training; None before its first.
        """
        return received

    def start_round(self, message: Extras) -> None:
        """Called when the starting weights are in the model, with what the server's side sent."""

    def penalty(self) -> torch.Tensor | float:
        """A scalar added to the loss of every step."""
        return 0.0

    def after_step(self) -> None:
        """Called after every step of the optimiser."""

    def end_round(self, steps: int) -> None:
        """Called after the last of a round's steps, before :meth:`state`, :meth:`outgoing` and :meth:`extras`."""

    def outgoing(self, trained: Weights, received: Weights) -> Weights:
        """The weights whose difference to ``received`` is the site's update, after training led to ``trained``."""
        return trained

    def extras(self) -> Extras:
        """Arrays that the server's side gets beside the update."""
        return {}

    def state(self) -> dict[str, Any]:
        """Tensors, numbers and containers of them that the next round needs; part of the site's state on disk."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` returned in an earlier process of the site."""


class Algorithm(Plugin, ABC):
    """The contract. Subclasses are frozen dataclasses whose fields are the algorithm's options."""

    SENDS_EXTRAS: ClassVar[str] = ""
    """The arrays that a site sends beside its update, in words; no privacy mechanism covers it, so each refuses it."""

    NEEDS_LAST_STEP: ClassVar[str] = ""
    """What a site makes of where its last step led, in words; weights of an earlier epoch would not belong to it."""

    RESULT: ClassVar[Literal["global", "own", "both"]] = "global"
    """The models that are the run's result: the server's, each site's own (scored and kept at the site), or both."""

    def check(self, experiment: ExperimentView) -> None:
        """Also refuses that own models leave whole where some of their entries are private, and an earlier epoch's
        weights where the last ones are needed.

        Raises:
            TypeError: the algorithm has private entries and no own models, so that they would be lost with the run.
        """
        if type(self).part is not Algorithm.part:
            self.check_parts(experiment, self.parts(network_of(experiment)))
        if experiment.training.cross_site and self.has_private:
            raise InputError(
                f"--cross_site sends every site's own model whole, and --algorithm {self.name} has entries that never "
                "leave a site; drop one of them."
            )

        if experiment.training.send == "best" and self.NEEDS_LAST_STEP:
            raise InputError(
                f"--send best sends the weights of the epoch that scored best, and --algorithm {self.name} needs those "
                f"after the last step for {self.NEEDS_LAST_STEP}; give --send last, or another algorithm."
            )

    def warnings(self, experiment: ExperimentView) -> tuple[str, ...]:
        """Sentences on an experiment with this algorithm that whoever starts it must read, for screen and summary."""
        return ()

    def server(self, setup: ServerSetup) -> ServerSide:
        """The server's side."""
        return ServerSide(setup)

    def site(self, setup: SiteSetup) -> SiteSide:
        """A site's side."""
        return SiteSide(setup)

    def personal(self, setup: SiteSetup) -> SiteSide:
        """A site's side of the training of its personal model, made anew each round; this one is plain training.

        The model is trained after the round's own training, in the same network. ``start_round`` finds in the network
        what the round begins with, ``penalty`` and ``after_step`` the personal model; nothing else is called.
        """
        return SiteSide(setup)

    def part(self, name: str, layer: nn.Module) -> Part:
        """The part of the model that an entry of the state dict belongs to; all of it is shared unless overridden.

        Args:
            name: of the entry.
            layer: the module that holds it.
        """
        return "shared"

    def parts(self, model: nn.Module) -> Parts:
        """All entries of a network by :meth:`part`."""
        return Parts.of(model, self.part)

    def check_parts(self, experiment: ExperimentView, parts: Parts) -> None:
        """Refuse a network whose parts this algorithm cannot work with.

        Raises:
            InputError: it cannot.
            TypeError: private entries would be lost with the run.
        """
        if parts.private.names and not (self.has_private and self.has_own_models):
            raise TypeError(
                f"{type(self).__name__} has private entries; expected RESULT 'own' or 'both', not 'global'."
            )

    @property
    def least_updates(self) -> int:
        """The fewest sites' updates of which a round can be made; one of fewer does not count, and ends the run."""
        return 1

    @property
    def has_private(self) -> bool:
        """True where each site has entries of its own, so that what it scores is its own model."""
        return self.has_own_models and type(self).part is not Algorithm.part

    @property
    def unsent(self) -> str:
        """The part of the model that no round sends and no privacy mechanism covers, in words; empty where all is."""
        return "each site's private entries" if self.has_private else ""

    @property
    def has_global_model(self) -> bool:
        return self.RESULT != "own"

    @property
    def has_own_models(self) -> bool:
        return self.RESULT != "global"

    @property
    def scores_own(self) -> bool:
        """True where the model that a site scores is its own, so that no score is the global model's."""
        return self.has_private or not self.has_global_model

    @property
    def has_personal(self) -> bool:
        """True where each site trains a personal model beside a global one that is whole, which it scores too."""
        return self.has_own_models and not self.scores_own

    def statement(self) -> str:
        """The algorithm in the words of the screen and the summary."""
        return self.name


def network_of(experiment: ExperimentView) -> nn.Module:
    """The experiment's network with weights that nobody uses, so that no generator advances."""
    import torch

    with torch.random.fork_rng(devices=[]):
        network: nn.Module = experiment.task.build_model()
    return network
