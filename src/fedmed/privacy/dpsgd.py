"""Patient-level differential privacy: DP-SGD inside each site (Abadi et al. 2016), with Opacus's optimiser."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from fedmed.core.entries import Parts
from fedmed.core.errors import InputError, counted
from fedmed.core.options import expect_positive, option
from fedmed.core.plugin import ExperimentView
from fedmed.core.units import in_unit
from fedmed.privacy.base import LocalTrainer
from fedmed.privacy.formal import FormalMechanism
from fedmed.privacy.ledger import Entry, last_of_each

if TYPE_CHECKING:
    from torch import nn

    from fedmed.privacy.patient_level import PatientLevelTraining


NO_PATIENTS = (
    "Nobody knows whose the images are: the unit is one image with the copies that the datalist names together. A "
    "patient with several images is hidden for each of them alone, for k of them with k times the epsilon and a larger "
    "delta."
)
"""The assumption that is added where patients are not known."""


@dataclass(frozen=True)
class DPSGD(FormalMechanism):
    """Each step trains on a Poisson sample of patients, whose gradients are clipped one by one and get noise together.

    ``--batch_size`` is the expected number of patients in a step.
    """

    dp_max_grad_norm: float = option(1.0, "bound on the L2 norm of one patient's gradient")

    UNIT: ClassVar[Literal["patient"]] = "patient"
    ASSUMPTIONS: ClassVar[tuple[str, ...]] = (
        "Neighbours: a site's training with and without one patient, whose cases, crops and slices are one unit.",
        "Each step samples every patient independently (Poisson), by random numbers that nobody else has.",
        "A patient trains at one site. One whose images lie at several has the guarantee for each, not for all.",
        "The datalist names each case's patient rightly. One whose cases stand under several names counts as several.",
        "The number of a site's patients is taken as public: it decides the sampling rate and the optimiser steps.",
        "The preparation of a case depends on that case's patient alone; hyper-parameters were not tuned on them.",
        "That a site's data are not refused, by the audit or for their number, is taken as public.",
        "Validation patients are not covered; under this mechanism nothing about them leaves a site by default.",
        "When a site answers is taken as public, though a round takes longer where chance samples more patients.",
        "The theorem is of real numbers. Noise is drawn and added in double precision and the sum rounded to the "
        "model's; --dp_secure_noise hardens the drawing against attacks on the gaps between such numbers.",
    )

    @property
    def assumptions(self) -> tuple[str, ...]:
        said = tuple(in_unit(sentence, self.data_unit) for sentence in self.ASSUMPTIONS)
        return said if self.data_unit == "patient" else (*said, NO_PATIENTS)

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_positive("dp_max_grad_norm", self.dp_max_grad_norm)

    def check_network(self, model: nn.Module, parts: Parts) -> None:
        refuse_batch_norm(model, parts.frozen.statistics)

    def check_data(self, experiment: ExperimentView, patients: Mapping[str, int]) -> None:
        batch = experiment.training.batch_size
        for site, count in patients.items():
            if batch > count:
                raise InputError(
                    f"--batch_size {batch} is more than the {count} training {self.data_unit}s of {site}; under "
                    f"--privacy dpsgd it is the expected number of {self.data_unit}s in a step, so give a smaller one."
                )
        super().check_data(experiment, patients)

    def sampling(self, experiment: ExperimentView, patients: int) -> tuple[float, int]:
        """An epoch has as many steps as it takes to see each patient once, on average."""
        training = experiment.training
        rate = training.batch_size / patients
        return rate, max(1, round(training.aggregation_epochs / rate))

    def training(self, trainer: LocalTrainer, patients: Sequence[str]) -> PatientLevelTraining:
        from fedmed.privacy.patient_level import PatientLevelTraining

        return PatientLevelTraining(self, self.dp_max_grad_norm, trainer, patients)

    def statement(self) -> str:
        unit = in_unit("a patient", self.data_unit)
        whose = "" if self.data_unit == "patient" else ", as patients are not known"
        return (
            f"dpsgd: formal, unit: {unit}{whose}. Gradients clipped at {self.dp_max_grad_norm:g} {unit}, "
            f"{self.noise_told()}, delta {self.dp_delta:g}; {self.beside()}"
        )

    def verdict(self, entries: Sequence[Entry]) -> str:
        last = last_of_each(entries)
        if not last:
            return f"{self.statement()}; nothing was released"
        spent = ", ".join(f"{site} {entry.epsilon_total:.4g}" for site, entry in sorted(last.items()))
        rounds = counted(max(entry.round for entry in last.values()), "round")
        return (
            f"dpsgd, formal: epsilon at delta {self.dp_delta:g} spent by each {self.data_unit} over {rounds}: {spent}; "
            f"{self.beside()}"
        )


def refuse_batch_norm(model: nn.Module, frozen: Collection[str] = ()) -> None:
    """BatchNorm mixes patients, so that no gradient belongs to one alone; not where its statistics stand still.

    Args:
        frozen: the names of the running statistics that nobody trains, whose layers are held in evaluation mode.

    Raises:
        InputError: the network has a layer that mixes them.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    names = [name for name, module in model.named_modules() if isinstance(module, _BatchNorm)]
    layers = [name for name in names if f"{name}.running_mean" not in frozen]
    if layers:
        raise InputError(
            f"--privacy dpsgd cannot train {type(model).__name__}: its layer {layers[0]} is a BatchNorm, which mixes "
            "patients; replace BatchNorm by GroupNorm, with --norm group where the task has it."
        )


PLUGIN = DPSGD
