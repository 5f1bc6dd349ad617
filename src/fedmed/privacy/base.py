"""The contract of a privacy mechanism: its unit, its guarantee, its assumptions, and its cost."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np

from fedmed.core.entries import Parts
from fedmed.core.errors import InputError
from fedmed.core.options import to_plain
from fedmed.core.plugin import ExperimentView, Plugin
from fedmed.core.settings import Training
from fedmed.core.units import Unit
from fedmed.privacy.ledger import Entry, Ledger

PrivateUpdate = dict[str, np.ndarray]
"""Differences of trainable entries by name, which a mechanism acts on."""


class Spending(NamedTuple):
    """Epsilon at ``delta``, or None throughout where a mechanism has no such number."""

    of_round: float | None = None
    total: float | None = None
    after_next: float | None = None  # what the total would be after one more round like this
    delta: float | None = None


class Released(NamedTuple):
    """The update that may leave a site, the epsilon that it spent, and facts about it.

    ``facts`` do not depend on the site's data, or are released by the mechanism; ``diagnostics`` stay at the site.
    """

    update: PrivateUpdate
    spent: Spending
    facts: dict[str, Any]
    diagnostics: dict[str, float]


class ReleaseContext(NamedTuple):
    """The circumstances of a release."""

    site: str
    round: int  # counted from 1
    steps: int  # of the optimiser, in this round
    seed: int  # of the experiment, for the noise of tests that ask for it


class LocalTrainer(Protocol):
    """The parts of a site that private training works with; see ``site.local_training``."""

    site: str
    job_id: str
    training: Training
    order: Any
    batches: Any
    model: Any
    optimizer: Any
    side: Any
    parts: Parts

    @property
    def experiment(self) -> ExperimentView: ...

    def loss_of(self, batch: Any) -> Any: ...


class PrivateTraining(Protocol):
    """A site's round of training in place of the ordinary one, for mechanisms that act on every step."""

    def round(self, number: int) -> tuple[int, float, Entry]:
        """Train one round (counted from 1): the optimiser's steps, the mean loss, and what the ledger says of it."""


class Mechanism(Plugin, ABC):
    """A mechanism's contract. Subclasses are frozen dataclasses whose fields are the mechanism's options."""

    UNIT: ClassVar[Literal["none", "patient", "site's update"]]
    """The unit whose presence the mechanism hides, where patients are known."""

    GUARANTEE: ClassVar[Literal["none", "heuristic", "formal"]]
    """The kind of guarantee; a theorem stands behind a formal one."""

    ASSUMPTIONS: ClassVar[tuple[str, ...]] = ()
    """The assumptions of the guarantee, a sentence each."""

    data_unit: Unit = "patient"
    """The unit of the task's data, which :meth:`on` states; no option, so that no job states another."""

    unsent: str = ""
    """The part of the model that the algorithm never sends, in words; no option, as :attr:`data_unit`."""

    dp_max_epsilon: float | None = None
    dp_send_diagnostics: bool = False
    dp_release_metrics: bool = False
    insecure_seeded_noise: bool = False

    @property
    def unit(self) -> str:
        """The unit whose presence is hidden: :attr:`UNIT`, but an image where nobody knows the patients."""
        return self.data_unit if self.UNIT == "patient" else self.UNIT

    @property
    def assumptions(self) -> tuple[str, ...]:
        """The assumptions of the guarantee on this unit, a sentence each."""
        return self.ASSUMPTIONS

    def on(self, unit: Unit, unsent: str = "") -> "Mechanism":
        """The mechanism on data of this unit, in a run that does not send a part of the model.

        Args:
            unsent: that part in words; empty where all of the model is sent.
        """
        changed = copy.copy(self)
        object.__setattr__(changed, "unsent", unsent)
        return changed

    @property
    def not_covered(self) -> str:
        """The words on a part of the model that is not sent, for the end of a statement; empty where all is sent."""
        return f"; not sent and so not covered: {self.unsent}" if self.unsent else ""

    @property
    def budget(self) -> float | None:
        """The epsilon that a run must not exceed."""
        return self.dp_max_epsilon

    @property
    def withholds_metrics(self) -> bool:
        """True where scores, losses, counts of cases and hashes of images stay at the sites."""
        return self.GUARANTEE == "formal" and not self.dp_release_metrics

    def check(self, experiment: ExperimentView) -> None:
        """Also refuses what no mechanism covers: an algorithm's arrays, and an epoch chosen beside private training."""
        more = experiment.algorithm.SENDS_EXTRAS
        if more and self.GUARANTEE != "none":
            raise InputError(
                f"--algorithm {experiment.algorithm.name} sends {more} beside the update, which --privacy {self.name} "
                "does not cover; choose fedavg or fedprox, or --privacy none."
            )

        if experiment.training.send == "best" and self.acts_while_training:
            raise InputError(
                f"--send best chooses a site's epoch by its validation cases, and --privacy {self.name} covers the "
                "training cases alone; give --send last, or a mechanism that acts on the whole update."
            )

    @property
    def accounts_slowly(self) -> bool:
        """True where :meth:`check_data` may take seconds."""
        return False

    @property
    def acts_on_updates(self) -> bool:
        """True where :meth:`release` decides what leaves a site."""
        return type(self).release is not Mechanism.release

    @property
    def acts_while_training(self) -> bool:
        """True where :meth:`training` takes the place of a site's ordinary training."""
        return type(self).training is not Mechanism.training

    def resolved(self, experiment: ExperimentView) -> "Mechanism":
        """The mechanism with every number stated that follows from the experiment; sites are given this one."""
        return self

    def release(self, update: PrivateUpdate, context: ReleaseContext, ledger: Ledger) -> Released:
        """The part of an update that may leave, by mechanisms that act on updates; ``update`` is never changed."""
        raise NotImplementedError(f"{self.name} does not act on updates")

    def training(self, trainer: LocalTrainer, patients: Sequence[str]) -> PrivateTraining | None:
        """A site's private training; ``patients`` names whose each training case is. None: the ordinary one."""
        return None

    def check_data(self, experiment: ExperimentView, patients: Mapping[str, int]) -> None:
        """Refuse sites by their numbers of training patients; before a run, and at each site.

        Raises:
            InputError: the mechanism cannot work with them, or the first round would exceed the budget.
        """

    def planned(self, experiment: ExperimentView, patients: int) -> float | None:
        """Epsilon after all rounds at a site with so many training patients; None where there is no such number."""
        return None

    @abstractmethod
    def statement(self) -> str:
        """One sentence for the screen before a run: what this protects and what it does not."""

    def verdict(self, entries: Sequence[Entry]) -> str:
        """The epsilon that was spent, in words that cannot be misread; for the summary."""
        return self.statement()

    def document(self) -> dict[str, Any]:
        """The declaration that stands in the ledger."""
        return {
            "name": self.name,
            "unit": self.unit,
            "guarantee": self.GUARANTEE,
            "assumptions": list(self.assumptions),
            "parameters": to_plain(self),
            "metrics_leave_unprotected": not self.withholds_metrics,
            "diagnostics_leave_unprotected": self.dp_send_diagnostics,
            **({"not_sent_and_not_covered": self.unsent} if self.unsent else {}),
        }
