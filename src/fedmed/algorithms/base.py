"""What an algorithm is: how the server combines the sites' updates, and what a site does beside plain training."""

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.recipe.spec import Recipe
from torch import nn

from fedmed.algorithms.updates import Update, weighted_mean
from fedmed.core.plugin import Plugin

Weights = Mapping[str, torch.Tensor]
"""A model's weights by parameter name."""


class LocalHook:
    """What a site does at six moments of its round. This one, FedAvg's, adds nothing."""

    def starting_weights(self, received: Weights, own: Weights | None) -> Weights:
        """What a round begins with, and what is scored before it.

        Args:
            received: the global model.
            own: what the site's last training came to; None before its first.
        """
        return received

    def start_round(self, model: nn.Module, received: FLModel) -> None:
        """Called when the starting weights are in ``model``; ``received`` carries the server's message."""

    def penalty(self, model: nn.Module) -> torch.Tensor | float:
        """A scalar added to the loss of every step."""
        return 0.0

    def after_step(self, model: nn.Module) -> None:
        """Called after every step of the optimiser."""

    def outgoing(self, weights: Weights, received: Weights) -> Weights:
        """What the site answers after its training came to ``weights``; its difference to ``received`` is sent."""
        return weights

    def finish_round(self, model: nn.Module) -> dict[str, Any]:
        """What is added to the meta data of the site's update."""
        return {}


class Algorithm(Plugin, ABC):
    """An algorithm's contract. Subclasses are frozen dataclasses whose fields are the algorithm's options."""

    SENDS_MORE: ClassVar[str] = ""
    """What a site sends beside its update and the optimiser steps, in words; a privacy mechanism does not cover it."""

    GLOBAL_MODEL: ClassVar[bool] = True
    """Whether the server's model is the result; if not, each site's own models are, scored and kept at the site."""

    def recipe(self, **settings: Any) -> Recipe:
        """FLARE's recipe of this algorithm from the settings that all have in common."""
        from fedmed.environments.flare.recipe import GuardedFedAvgRecipe

        return GuardedFedAvgRecipe(**settings)

    def combine(self, updates: Sequence[Update], steps: Sequence[float]) -> Update:
        """One update from the sites' updates, given in the order of the sites' names.

        Args:
            updates: each site's weight differences by parameter name.
            steps: the optimiser steps that each site took.
        """
        return weighted_mean(updates, steps)

    def hook(self) -> LocalHook:
        """The site's side, made once a run."""
        return LocalHook()

    def statement(self) -> str:
        """What the screen and the summary say of it."""
        return self.name
