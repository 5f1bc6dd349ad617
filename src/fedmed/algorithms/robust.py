"""The contract of rules that combine updates of which some may be harmful: what they see, and what they need."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from fedmed.algorithms.base import Algorithm, Contribution, ServerSetup, ServerSide, network_of
from fedmed.core.errors import InputError
from fedmed.core.options import expect_between, option
from fedmed.core.plugin import ExperimentView
from fedmed.core.settings import COUNTS
from fedmed.core.weights import Update

BLOCK = 2**14
"""Values of an update that are worked on at once."""


class Combined(NamedTuple):
    """The update that a rule makes, and the share, 0 to 1, with which each of the updates counts in it, in order."""

    update: dict[str, np.ndarray]
    shares: Sequence[float]


class Rule(Protocol):
    """A rule: a pure function of the sites' updates, in the order of their names, and of their weights."""

    def __call__(self, updates: Sequence[Update], weights: Sequence[float]) -> Combined: ...


def blocks_of(updates: Sequence[Update]) -> list[np.ndarray]:
    """All values of n updates as arrays (n, size), each small enough for a processor's cache, in their own types."""
    found = list[np.ndarray]()
    for name in updates[0]:
        values = np.stack([np.asarray(update[name]).reshape(-1) for update in updates])
        places = range(0, values.shape[1], BLOCK)
        found += [np.ascontiguousarray(values[:, place : place + BLOCK]) for place in places]
    return found


class RobustServer(ServerSide):
    """Combines by a rule, and tells how much each site counted."""

    def __init__(self, setup: ServerSetup, rule: Rule) -> None:
        super().__init__(setup)
        self.rule = rule
        self._shares: dict[str, float] = {}

    def combine(self, contributions: Sequence[Contribution]) -> Update:
        found = self.rule([each.update for each in contributions], self.weights(contributions))
        sites = [each.site for each in contributions]
        self._shares = {site: float(share) for site, share in zip(sites, found.shares, strict=True)}
        return found.update

    def shares(self) -> Mapping[str, float]:
        return self._shares


class Robust(Algorithm, ABC):
    """A rule that judges single updates, so that no mechanism may have changed them.

    It sees trainable entries alone. Running statistics are pooled from all sites, as with every algorithm.
    """

    WEIGHTED: ClassVar[bool] = False
    """True where sites count by their sizes; else each counts as one, as the rule's theory has it."""

    TOLERATES: ClassVar[str] = ""
    """The option that states how many harmful sites a round may have; empty where the rule knows no such number."""

    MARGIN: ClassVar[int] = 1
    """The fewest updates of a round beyond twice that number."""

    @abstractmethod
    def rule(self, updates: Sequence[Update], weights: Sequence[float]) -> Combined:
        """The rule, as :class:`Rule` describes it.

        Raises:
            ValueError: there are fewer updates than :attr:`least_updates`.
        """

    @property
    def tolerated(self) -> int:
        """The number of harmful sites that a round may have."""
        return int(getattr(self, self.TOLERATES)) if self.TOLERATES else 0

    @property
    def least_updates(self) -> int:
        return 2 * self.tolerated + self.MARGIN

    def server(self, setup: ServerSetup) -> ServerSide:
        return RobustServer(setup, self.rule)

    def warnings(self, experiment: ExperimentView) -> tuple[str, ...]:
        if not self.parts(network_of(experiment)).shared.statistics:
            return ()
        return (
            f"--algorithm {self.name} judges weights alone: the network's running statistics are pooled from all "
            "sites, harmful ones too; a network that normalises in groups has none.",
        )

    def statement(self) -> str:
        return f"{self.name}, {self.TOLERATES} {self.tolerated}: a round needs {self.least_updates} updates"

    def check(self, experiment: ExperimentView) -> None:
        """Also refuses mechanisms that change updates, weights that the rule has no place for, and too few sites."""
        super().check(experiment)
        mechanism, weights = experiment.privacy, experiment.training.aggregation_weights
        if mechanism.GUARANTEE != "none":
            raise InputError(
                f"--algorithm {self.name} tells harmful updates by how single ones differ, and --privacy "
                f"{mechanism.name} changes each of them before it leaves its site; choose --algorithm fedavg, or "
                "--privacy none."
            )
        if not self.WEIGHTED and weights not in ("auto", "uniform"):
            raise InputError(
                f"--algorithm {self.name} counts sites as equals, since a harmful one could state any size, so "
                f"--aggregation_weights {weights} would weigh nothing; drop it, or take geometric_median or norm_clip."
            )
        self._check_number(experiment)

    def _check_number(self, experiment: ExperimentView) -> None:
        """Refuse rounds of fewer sites than the rule's theory speaks of.

        Raises:
            InputError: a round has, or may have, fewer.
        """
        training, least, given = experiment.training, self.least_updates, experiment.faults.min_clients
        sites = training.sites_per_round or training.n_clients
        needs = f"--algorithm {self.name} with --{self.TOLERATES} {self.tolerated} needs {least} updates in a round"
        if sites < least:
            trained = f"{sites} sites train" if sites > 1 else "one site trains"
            raise InputError(f"{needs}, and {trained} in one; {self._advice(sites)}.")
        if given is not None and given < least:
            raise InputError(f"{needs}, and --min_clients {given} lets one count with fewer; give {least} or more.")

    def _advice(self, sites: int) -> str:
        """The choices that so few sites leave."""
        tolerated, most = self.tolerated, (sites - self.MARGIN) // 2
        choices = ["give more sites"]
        if most > 0:
            choices.append(f"a --{self.TOLERATES} of at most {most}")
        if tolerated > 0 and self.MARGIN > 1 and sites > 2 * tolerated:
            choices.append(f"--algorithm geometric_median, which needs {2 * tolerated + 1}")
        if len(choices) == 1:
            choices.append("--algorithm norm_clip, which bounds what each may do and knows no such number")
        return ", or ".join(choices)


@dataclass(frozen=True)
class Tolerant(Robust, ABC):
    """A rule whose user states how many sites of a round may be harmful, in whatever way."""

    byzantine: int = option(1, "sites of a round that may be harmful; fixes how many a round needs, and krum's choice")

    TOLERATES: ClassVar[str] = "byzantine"

    def __post_init__(self) -> None:
        expect_between("byzantine", self.byzantine, 0, COUNTS["n_clients"])
