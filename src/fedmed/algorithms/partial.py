"""Sharing some layers: these are trained and sent, private ones are trained and stay, all others stand still."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from fedmed.algorithms.base import Algorithm
from fedmed.core.entries import Part, Parts
from fedmed.core.errors import InputError
from fedmed.core.options import option
from fedmed.core.plugin import ExperimentView

if TYPE_CHECKING:
    from torch import nn

SHOWN = 8
"""Layers that an error names."""


@dataclass(frozen=True)
class Partial(Algorithm):
    """FedAvg of the entries that ``--share`` names, but for those that ``--private`` names too.

    Private entries make it FedPer (Arivazhagan et al. 2019, arXiv 1912.00818): each site has a head of its own.
    """

    share: str | None = option(
        None,
        "layers that train and are sent, with commas between them: beginnings of names at dots, or patterns (*, ?)",
    )
    private: str | None = option(
        None, "those of the shared layers that each site trains for itself and never sends, named in the same way"
    )

    def __post_init__(self) -> None:
        if not self.share:
            raise InputError("--algorithm partial has no --share; name the layers to share, such as layer4,fc.")
        for name in ("share", "private"):
            given = getattr(self, name)
            if given is not None and not all(patterns_of(given)):
                raise InputError(f"--{name} is {given!r:.80}; expected names with one comma between any two.")

    def part(self, name: str, layer: nn.Module) -> Part:
        if not matches(name, patterns_of(self.share)):
            return "frozen"
        return "private" if matches(name, patterns_of(self.private)) else "shared"

    @property
    def has_own_models(self) -> bool:
        return self.private is not None

    @property
    def unsent(self) -> str:
        frozen = f"what stays as it was at first, all but {self.share}"
        return f"each site's own {self.private}, and {frozen}" if self.private else frozen

    def check(self, experiment: ExperimentView) -> None:
        super().check(experiment)
        rounds = getattr(experiment.task, "freeze_encoder", 0)
        if rounds:
            raise InputError(
                f"--freeze_encoder {rounds} lets a part stand still for some rounds, and --algorithm partial says for "
                "all of them which parts train; drop one of them."
            )

    def check_parts(self, experiment: ExperimentView, parts: Parts) -> None:
        super().check_parts(experiment, parts)
        sharing = parts.shared.names + parts.private.names
        self._expect_matches("share", self.share, sharing, [*sharing, *parts.frozen.names])
        self._expect_matches("private", self.private, sharing, sharing)
        if not parts.unshared:
            raise InputError(
                f"--share {self.share} matches all of the network, which is --algorithm fedavg; choose that."
            )
        if not parts.shared.names:
            raise InputError(
                f"--private {self.private} matches all that --share {self.share} does, so nothing would be sent; name "
                "fewer layers, or choose --algorithm local."
            )
        if not parts.shared.trainable:
            raise InputError(f"--share {self.share} matches running statistics alone; name layers with weights too.")

    def _expect_matches(self, option: str, given: str | None, among: Sequence[str], known: Sequence[str]) -> None:
        """Expect each pattern of an option to match one of some entries.

        Args:
            known: entries whose layers an error proposes.

        Raises:
            InputError: one matches none.
        """
        for pattern in patterns_of(given):
            if not any(matches(name, [pattern]) for name in among):
                what = "entry of the network" if option == "share" else f"entry of what --share {self.share} names"
                raise InputError(f"--{option} {pattern} matches no {what}; {proposed(pattern, known)}.")

    def statement(self) -> str:
        own = f"; {self.private} is each site's own and never sent" if self.private else ""
        return f"partial: {self.share} trained, all else as it was at first{own}"


def patterns_of(given: str | None) -> list[str]:
    """The names of an option, without the blanks around them."""
    return [] if given is None else [each.strip() for each in given.split(",")]


def matches(name: str, patterns: Iterable[str]) -> bool:
    """True where a pattern is a beginning of an entry's name up to a dot, or all of it; ``*`` matches dots too."""
    parts = name.split(".")
    beginnings = [".".join(parts[: count + 1]) for count in range(len(parts))]
    return any(fnmatchcase(beginning, pattern) for pattern in patterns for beginning in beginnings)


def proposed(pattern: str, entries: Iterable[str]) -> str:
    """The nearest name of a layer, or the outermost layers where none is near."""
    layers = list(dict.fromkeys(_beginnings(entries)))
    near = get_close_matches(pattern, layers, n=1)
    if near:
        return f"the nearest name is {near[0]}"
    outermost = list(dict.fromkeys(layer.partition(".")[0] for layer in layers))
    more = ", ..." if len(outermost) > SHOWN else ""
    return f"expected names such as {', '.join(outermost[:SHOWN])}{more}"


def _beginnings(entries: Iterable[str]) -> Iterable[str]:
    for name in entries:
        parts = name.split(".")
        yield from (".".join(parts[: count + 1]) for count in range(len(parts)))


PLUGIN = Partial
