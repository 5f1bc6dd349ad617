"""The entries of a network's state dict by their kind: trainable, running statistics, counters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Entries:
    """Names of a state dict's entries. Only trainable ones are clipped, get noise, and count in norms and distances.

    Attributes:
        trainable: parameters.
        statistics: floating-point buffers, such as BatchNorm's running mean and variance.
        counters: integer buffers, such as BatchNorm's number of batches.
    """

    trainable: tuple[str, ...]
    statistics: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: nn.Module) -> Entries:
        """The entries of a network that its state dict holds."""
        state = model.state_dict()
        trainable = {name for name, _ in model.named_parameters(remove_duplicate=False)} & set(state)  # tied ones too
        buffers = [name for name in state if name not in trainable]
        statistics = tuple(name for name in buffers if state[name].is_floating_point())
        counters = tuple(name for name in buffers if not state[name].is_floating_point())
        return cls(tuple(name for name in state if name in trainable), statistics, counters)

    @property
    def names(self) -> tuple[str, ...]:
        return self.trainable + self.statistics + self.counters

    def shared(self, private: Callable[[str], bool]) -> Entries:
        """The entries that leave a site: those that are not private."""
        parts = (self.trainable, self.statistics, self.counters)
        return Entries(*(tuple(name for name in part if not private(name)) for part in parts))

    def plain(self) -> dict[str, list[str]]:
        """The names by kind, as JSON values."""
        return {kind: list(names) for kind, names in asdict(self).items()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Sequence[str]]) -> Entries:
        """The entries that :meth:`plain` described."""
        return cls(*(tuple(plain[kind]) for kind in ("trainable", "statistics", "counters")))


def only(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The values of these names, as far as there are any."""
    return {name: values[name] for name in names if name in values}
