"""The common part of mechanisms with a formal guarantee: the choice of noise, the budget, and what else may leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from fedmed.core.entries import Parts
from fedmed.core.errors import InputError
from fedmed.core.options import expect, expect_positive, option
from fedmed.core.plugin import ExperimentView
from fedmed.core.units import Unit
from fedmed.privacy.accounting import PRV_MOST, Accountant, calibrated, epsilon_of, extended
from fedmed.privacy.base import Mechanism, Spending
from fedmed.privacy.ledger import Ledger

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class FormalMechanism(Mechanism):
    """Gaussian noise, accounted over all rounds."""

    dp_noise_multiplier: float | None = option(
        None, "standard deviation of the noise over the clip; give this or --dp_target_epsilon"
    )
    dp_target_epsilon: float | None = option(None, "epsilon that all rounds together may spend; the noise follows")
    dp_delta: float = option(1e-5, "delta at which epsilon is stated; below 1 / patients of every site")
    dp_max_epsilon: float | None = option(None, "stop before the round that would bring epsilon above this")
    dp_accountant: Accountant = option("rdp", "how epsilon composes over rounds: rdp, or prv, tighter and slower")
    dp_secure_noise: bool = option(
        False, "noise from the operating system's cryptographic random numbers alone; slower"
    )
    dp_release_metrics: bool = option(
        False,
        "let scores, losses, counts and hashes of images leave the sites all the same; epsilon does not cover them",
    )
    dp_send_diagnostics: bool = option(
        False, "send the ledger's clip fraction, signal-to-noise and cosine too; epsilon does not cover them"
    )
    insecure_seeded_noise: bool = option(False, "noise that follows from --seed, for tests; it protects nothing")
    data_unit: Unit = "patient"
    unsent: str = ""

    GUARANTEE: ClassVar[Literal["formal"]] = "formal"

    def __post_init__(self) -> None:
        self._check_one_noise()
        for name in ("dp_noise_multiplier", "dp_target_epsilon", "dp_max_epsilon"):
            if getattr(self, name) is not None:
                expect_positive(name, getattr(self, name))
        self._check_one_budget()
        expect(0 < self.dp_delta < 1, "dp_delta", self.dp_delta, "a number above 0 and below 1")
        if self.dp_secure_noise and self.insecure_seeded_noise:
            raise InputError("--dp_secure_noise and --insecure_seeded_noise exclude each other; drop one.")

    def _check_one_noise(self) -> None:
        noise, target = self.dp_noise_multiplier, self.dp_target_epsilon
        if noise is not None and target is not None:
            raise InputError(
                f"--dp_noise_multiplier {noise:g} and --dp_target_epsilon {target:g} are both given, and each decides "
                "the noise; drop one."
            )
        if noise is None and target is None:
            raise InputError(
                f"--privacy {self.name} has neither --dp_noise_multiplier nor --dp_target_epsilon; give one of them."
            )

    def _check_one_budget(self) -> None:
        target, most = self.dp_target_epsilon, self.dp_max_epsilon
        if target is not None and most is not None and target > most:
            raise InputError(
                f"--dp_target_epsilon {target:g} is what all rounds are to spend and --dp_max_epsilon {most:g} stops "
                "the run before; give a target of at most the maximum, or drop one of them."
            )
        if self.dp_accountant == "prv" and target is not None and target > PRV_MOST:
            raise InputError(
                f"--dp_target_epsilon {target:g} is more than --dp_accountant prv can tell; give at most {PRV_MOST:g}, "
                "or take rdp."
            )

    def on(self, unit: Unit, unsent: str = "") -> FormalMechanism:
        return replace(self, data_unit=unit, unsent=unsent)

    @property
    def budget(self) -> float | None:
        """A target is a maximum too: a site that had to train a round twice must not exceed it."""
        given = [each for each in (self.dp_max_epsilon, self.dp_target_epsilon) if each is not None]
        return min(given, default=None)

    @property
    def accounts_slowly(self) -> bool:
        return self.dp_accountant == "prv" or self.dp_target_epsilon is not None

    def check(self, experiment: ExperimentView) -> None:
        """Also refuses a network that the mechanism cannot train, or whose running statistics would leave unnoised."""
        super().check(experiment)
        model = experiment.task.build_model()
        parts = experiment.algorithm.parts(model)
        self.check_network(model, parts)
        statistics = parts.shared.statistics
        if statistics:
            raise InputError(
                f"--privacy {self.name} cannot cover {type(model).__name__}: {statistics[0]} is computed from patients "
                "and leaves without noise; build the layer without running statistics, such as GroupNorm."
            )

    def check_network(self, model: nn.Module, parts: Parts) -> None:
        """Refuse a network that the mechanism cannot train.

        Args:
            parts: its entries by what becomes of them.

        Raises:
            InputError: it cannot.
        """

    def check_data(self, experiment: ExperimentView, patients: Mapping[str, int]) -> None:
        """Also refuses a delta that is too large to mean anything, and what cannot be accounted or calibrated."""
        many = max(patients, key=lambda site: patients[site])
        if self.dp_delta * patients[many] >= 1:
            raise InputError(
                f"--dp_delta {self.dp_delta:g} is not below 1 / {patients[many]} {self.data_unit}s of {many}: a "
                f"mechanism that publishes one {self.data_unit} whole would satisfy it; give a smaller one."
            )
        for count, site in {count: site for site, count in patients.items()}.items():
            self.planned(experiment, count)
            self._check_first_round(experiment, site, count)

    def noise_multiplier(self, experiment: ExperimentView, patients: int) -> float:
        """The noise multiplier that was given, or the one that meets the target over all rounds.

        Raises:
            InputError: no noise does.
        """
        if self.dp_noise_multiplier is not None:
            return self.dp_noise_multiplier
        assert self.dp_target_epsilon is not None
        rate, steps = self.sampling(experiment, patients)
        rounds = experiment.training.num_rounds
        return calibrated(self.dp_target_epsilon, self.dp_delta, rate, steps * rounds, self.dp_accountant)

    def sampling(self, experiment: ExperimentView, patients: int) -> tuple[float, int]:
        """The probability that a unit is in a step, and the steps of a round."""
        return 1.0, 1

    def planned(self, experiment: ExperimentView, patients: int) -> float:
        rate, steps = self.sampling(experiment, patients)
        all_steps = steps * experiment.training.num_rounds
        history = [(self.noise_multiplier(experiment, patients), rate, all_steps)]
        return epsilon_of(history, self.dp_delta, self.dp_accountant)

    def spend(self, ledger: Ledger, noise_multiplier: float, sample_rate: float, steps: int) -> Spending:
        """Enter a round's steps in the ledger's history, and say what that comes to."""
        before = epsilon_of(ledger.history, self.dp_delta, self.dp_accountant)
        ledger.history = extended(ledger.history, noise_multiplier, sample_rate, steps)
        total = epsilon_of(ledger.history, self.dp_delta, self.dp_accountant)
        more = extended(ledger.history, noise_multiplier, sample_rate, steps)
        after_next = epsilon_of(more, self.dp_delta, self.dp_accountant)
        return Spending(total - before, total, after_next, self.dp_delta)

    def _check_first_round(self, experiment: ExperimentView, site: str, patients: int) -> None:
        if self.dp_max_epsilon is None:
            return
        rate, steps = self.sampling(experiment, patients)
        first = epsilon_of(
            [(self.noise_multiplier(experiment, patients), rate, steps)], self.dp_delta, self.dp_accountant
        )
        if first > self.dp_max_epsilon:
            raise InputError(
                f"The first round at {site} would spend epsilon {first:.3g} and --dp_max_epsilon is "
                f"{self.dp_max_epsilon:g}; give more noise, or a larger budget."
            )

    def noise_told(self) -> str:
        if self.dp_noise_multiplier is not None:
            return f"noise multiplier {self.dp_noise_multiplier:g}"
        return f"noise for epsilon {self.dp_target_epsilon:g} over all rounds"

    def beside(self) -> str:
        """The summary's words on scores and losses, and on noise that protects nothing."""
        seeded = "; THE NOISE FOLLOWS FROM THE SEED AND PROTECTS NOTHING" if self.insecure_seeded_noise else ""
        if self.dp_send_diagnostics:
            seeded += "; the ledger's diagnostics leave UNPROTECTED"
        seeded += self.not_covered
        if self.withholds_metrics:
            return "scores and losses stay at the sites" + seeded
        return "scores and losses leave the sites UNPROTECTED, epsilon does not cover them" + seeded
