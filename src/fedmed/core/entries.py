"""The entries of a network's state dict by their kind, and by what becomes of them in a federation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

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

    def among(self, names: Collection[str]) -> Entries:
        """Those of the entries that have one of these names."""
        kinds = (self.trainable, self.statistics, self.counters)
        return Entries(*(tuple(name for name in kind if name in names) for kind in kinds))

    def plain(self) -> dict[str, list[str]]:
        """The names by kind, as JSON values."""
        return {kind: list(names) for kind, names in asdict(self).items()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Sequence[str]]) -> Entries:
        """The entries that :meth:`plain` described."""
        return cls(*(tuple(plain[kind]) for kind in ("trainable", "statistics", "counters")))


Part = Literal["shared", "private", "frozen"]
"""An entry's part: trained and sent in every round, trained and kept at its site, or left as the first model has it."""


@dataclass(frozen=True)
class Parts:
    """The entries of a network by what becomes of them in a federation."""

    shared: Entries
    private: Entries = field(default_factory=lambda: Entries(()))
    frozen: Entries = field(default_factory=lambda: Entries(()))

    @classmethod
    def of(cls, model: nn.Module, part_of: Callable[[str, nn.Module], Part]) -> Parts:
        """The parts of a network.

        Args:
            part_of: gives the part of an entry from its name and the layer that holds it.

        Raises:
            ValueError: two names of one parameter are of different parts.
        """
        layers = dict(model.named_modules(remove_duplicate=False))
        entries, found = Entries.of(model), dict[Part, set[str]]()
        for name in entries.names:
            part = part_of(name, layers.get(name.rpartition(".")[0], model))
            found.setdefault(part, set()).add(name)
        tied: dict[int, str] = {}
        for name, parameter in model.named_parameters(remove_duplicate=False):
            other = tied.setdefault(id(parameter), name)
            if any((name in names) != (other in names) for names in found.values()):
                raise ValueError(f"{name} and {other} are one parameter and of different parts; expected one part.")
        return cls(*(entries.among(found.get(part, ())) for part in ("shared", "private", "frozen")))

    @property
    def unshared(self) -> tuple[str, ...]:
        """The names of the entries that no round's messages hold."""
        return self.private.names + self.frozen.names


def only(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The values of these names, as far as there are any."""
    return {name: values[name] for name in names if name in values}
