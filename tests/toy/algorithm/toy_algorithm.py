"""An algorithm that uses all of the contract: state on both sides, arrays both ways beside updates, a private layer.

The server has momentum, and each site pulls its steps from its own drift towards the mean drift of all sites. It is put
beside the package's own algorithms by ``toy_algorithm`` in conftest.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from fedmed.algorithms.averaging import weighted_mean
from fedmed.algorithms.base import Algorithm, Contribution, Extras, ServerSetup, ServerSide, SiteSetup, SiteSide
from fedmed.core.entries import Part
from fedmed.core.options import option
from fedmed.core.weights import Update


@dataclass(frozen=True)
class ToyAlgorithm(Algorithm):
    """Momentum and drift."""

    toy_momentum: float = option(0.5, "share of the last update in the next one")
    toy_private: str = option("layers.8.", "beginning of the names of the entries that stay at a site")

    SENDS_EXTRAS: ClassVar[str] = "its drift"
    NEEDS_LAST_STEP: ClassVar[str] = "its drift"
    RESULT: ClassVar[Literal["both"]] = "both"

    def server(self, setup: ServerSetup) -> ServerSide:
        return Momentum(setup, self.toy_momentum)

    def site(self, setup: SiteSetup) -> SiteSide:
        return Drift(setup, self.parts(setup.model).shared.names)

    def part(self, name: str, layer: torch.nn.Module) -> Part:
        return "private" if name.startswith(self.toy_private) else "shared"


class Momentum(ServerSide):
    """Its state: the last update of the global model and the mean drift of the sites."""

    def __init__(self, setup: ServerSetup, momentum: float) -> None:
        super().__init__(setup)
        self.momentum = momentum
        self.last = {name: np.zeros(shape, np.float32) for name, shape in setup.shapes.items()}
        self.drift = dict(self.last)

    def message(self) -> Extras:
        return self.drift

    def expected_extras(self) -> Mapping[str, tuple[int, ...]]:
        return self.setup.shapes

    def combine(self, contributions: Sequence[Contribution]) -> Update:
        self.drift = weighted_mean([each.extras for each in contributions], [each.cases for each in contributions])
        mean = super().combine(contributions)
        self.last = {name: (self.momentum * self.last[name] + mean[name]).astype(np.float32) for name in mean}
        return self.last

    def state(self) -> dict[str, Any]:
        return {kind: _tensors(values) for kind, values in (("last", self.last), ("drift", self.drift))}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.last, self.drift = ({n: v.numpy() for n, v in state[kind].items()} for kind in ("last", "drift"))


class Drift(SiteSide):
    """Its state: how far the site moves in a step, as a mean over its rounds, and the number of these."""

    def __init__(self, setup: SiteSetup, shared: Collection[str]) -> None:
        super().__init__(setup)
        self.shared = {name: values for name, values in setup.model.named_parameters() if name in shared}
        self.drift = {name: torch.zeros_like(values) for name, values in self.shared.items()}
        self.rounds = 0

    def start_round(self, message: Extras) -> None:
        self.start = {name: values.detach().clone() for name, values in self.shared.items()}
        self.mean = {name: torch.as_tensor(message[name]).to(values) for name, values in self.shared.items()}

    def after_step(self) -> None:
        with torch.no_grad():
            for name, values in self.shared.items():
                values += 0.1 * (self.mean[name] - self.drift[name])

    def end_round(self, steps: int) -> None:
        self.rounds += 1
        for name, values in self.shared.items():
            moved = (values.detach() - self.start[name]) / steps
            self.drift[name] = self.drift[name] + (moved - self.drift[name]) / self.rounds

    def extras(self) -> Extras:
        return {name: values.cpu().numpy() for name, values in self.drift.items()}

    def state(self) -> dict[str, Any]:
        return {"drift": dict(self.drift), "rounds": self.rounds}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.drift = {name: values.to(self.shared[name]) for name, values in state["drift"].items()}
        self.rounds = state["rounds"]


def _tensors(values: Update) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(each)) for name, each in values.items()}


PLUGIN = ToyAlgorithm
