"""FedBN: FedAvg of all but the normalisation layers, which are each site's own (Li et al. 2021, arXiv 2102.07623)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from fedmed.algorithms.base import Algorithm
from fedmed.core.entries import Part, Parts
from fedmed.core.errors import InputError
from fedmed.core.plugin import ExperimentView

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class FedBN(Algorithm):
    """Scale, shift and running statistics of normalisation layers stay at the sites.

    The paper is about batch normalisation, whose statistics differ most among scanners. Of group, instance and layer
    normalisation, which have a scale and a shift too, those are private in the same way. A model for a site that took
    no part does not come of it: the server's normalisation layers are those of the first model, and nobody scores them.
    """

    RESULT: ClassVar[Literal["own"]] = "own"

    def part(self, name: str, layer: nn.Module) -> Part:
        return "private" if is_normalization(layer) else "shared"

    def check_parts(self, experiment: ExperimentView, parts: Parts) -> None:
        super().check_parts(experiment, parts)
        if not parts.private.names:
            raise InputError(
                "--algorithm fedbn keeps the normalisation layers at the sites, and the network has none with a "
                "scale or statistics; choose fedavg, or a --network or --norm that has some."
            )

    @property
    def unsent(self) -> str:
        return "each site's own normalisation layers"

    def statement(self) -> str:
        return "fedbn: all but the normalisation layers averaged; the result is each site's own model, in sites/"


def is_normalization(layer: nn.Module) -> bool:
    """True for a layer of batch, instance, group or layer normalisation."""
    from torch import nn
    from torch.nn.modules.batchnorm import _NormBase

    return isinstance(layer, _NormBase | nn.GroupNorm | nn.LayerNorm)


PLUGIN = FedBN
