"""Membership inference on a finished run: every case through its model and a reference, and what the attacks find."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import nn

from fedmed.analysis.attacks import membership_picture, membership_report, stated_privacy
from fedmed.analysis.attacks.membership import AttackResult, attack, by_patient, case_fits, case_losses, table_of
from fedmed.analysis.attacks.membership_cases import Subject
from fedmed.analysis.attacks.stated_privacy import StatedPrivacy
from fedmed.analysis.evaluation.trained_model import initial_network, model_file, network_of
from fedmed.core.memory_format import prepare_network
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder


class MembershipAudit(NamedTuple):
    """The numbers of every case, or every patient of several, the attacks on them, and what the mechanism states."""

    table: pd.DataFrame
    found: list[AttackResult]
    stated: StatedPrivacy | None

    def text(self) -> str:
        """The table of the attacks, and the privacy that the run states."""
        return f"{membership_report.as_text(self.found, self.stated)}\n\n{stated_privacy.in_words(self.stated)}"

    def document(self) -> dict[str, Any]:
        """The attacks and the stated privacy as JSON values, without any case's name."""
        attacks = [membership_report.as_json(each, self.stated) for each in self.found]
        return {"attacks": attacks, "promise": stated_privacy.as_json(self.stated)}

    def picture(self, caption: str) -> bytes:
        """ROC curves beside the bound of the stated privacy, and histograms, as a PNG."""
        bound = self.stated.of_patients() if self.stated else None
        return membership_picture.picture(self.table, self.found, bound, caption)


def networks(run: RunFolder, experiment: Experiment, model: str, reference: Path | None) -> tuple[nn.Module, nn.Module]:
    """The network under attack and the reference, on the CPU.

    Args:
        model: ``best``, ``last`` or a file of weights.
        reference: a run folder or a file of weights; None for the weights that the run began with.

    Raises:
        InputError: there are no such weights, or they are of another network.
    """
    target = network_of(experiment.task, model_file(run, model))
    if reference is None:
        return target, initial_network(experiment)
    other = model_file(RunFolder.open(reference), "best") if reference.is_dir() else reference
    return target, network_of(experiment.task, other)


def audit_membership(
    experiment: Experiment,
    models: tuple[nn.Module, nn.Module],
    subjects: Sequence[Subject],
    label_scheme: str | None,
    caching: Caching,
    stated: StatedPrivacy | None,
    seed: int,
) -> MembershipAudit:
    """Attack a model by its fit to members and to held-out cases.

    Args:
        models: the network under attack, and the reference that sets a case's difficulty.
        seed: of the bootstrap.
    """
    task, precision = experiment.task, experiment.training.precision
    cases = task.eval_set([each.case for each in subjects], label_scheme, caching)
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    target, reference = (_placed(experiment, model, device) for model in models)
    fits = case_fits(task, target, cases, device, precision)
    table = table_of(task, subjects, fits, case_losses(task, reference, cases, device, precision))
    table = by_patient(table, [task.patient_of(each.case) for each in subjects])
    return MembershipAudit(table, attack(table, seed=seed), stated)


def _placed(experiment: Experiment, model: nn.Module, device: torch.device) -> nn.Module:
    """A model on the device, in the memory format of the sites."""
    model.to(device)
    prepare_network(model, experiment.performance, device)
    return model
