"""Membership inference: does a model treat a case so well that it must have been trained on it?

The attacker has the model, the case and its label, and trains no model of its own. Its scores: the loss (Yeom et al.
2018, arXiv 1709.01604), the Dice, and the loss by which a reference model that never saw the case does worse, so that
a case's own difficulty does not count (Watson et al. 2022, arXiv 2111.08440).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from monai.utils import convert_to_tensor
from torch import nn
from torch.utils.data import Dataset

from fedmed.analysis.attacks.attack_statistics import Scores, auc, estimate, tpr_at_fpr
from fedmed.analysis.attacks.membership_cases import LEAST, Subject
from fedmed.core.errors import InputError
from fedmed.core.precision import autocast
from fedmed.core.site_scores import mean_of_values
from fedmed.core.statistics import Estimate
from fedmed.tasks.base import Task
from fedmed.tasks.scoring.region_dice import challenge_dice, region_dice

SITE_LEAST = 4
"""Members below which a site is not judged apart."""

RATES = (0.01, 0.1)
"""The false positive rates at which the true one is told."""

POOLED = "all sites"


@runtime_checkable
class Segments(Protocol):
    """A task that labels every voxel."""

    def infer(self, model: nn.Module, image_BCDHW: torch.Tensor) -> torch.Tensor:
        """Logits (B, regions, D, H, W) of a whole volume."""


class CaseFit(NamedTuple):
    """How a model does on a case: the training loss over the whole volume, and the mean Dice of its regions."""

    loss: float
    dice: float


class Found(NamedTuple):
    """What one attack finds out about the members of one site, or of all."""

    attack: str
    site: str
    members: int
    others: int
    auc: Estimate
    tpr: Mapping[float, Estimate]
    """By false positive rate."""


def case_fits(task: Task, model: nn.Module, cases: Dataset[Any], device: torch.device, precision: str) -> list[CaseFit]:
    """How the model does on each case of an evaluation set: no crop, no random transform, no dropout.

    Args:
        task: says the loss and how a whole volume is put through the network.
        model: in eval mode, on ``device``.
        cases: items of ``image`` (C, D, H, W) and ``label`` (regions, D, H, W).
        precision: the arithmetic of the forward pass, as in :func:`fedmed.core.precision.autocast`.

    Raises:
        InputError: the task does not segment.
    """
    if not isinstance(task, Segments):
        raise InputError(f"The task {task.name} does not segment; the membership audit knows Dice alone: audit others.")
    criterion = task.loss()
    found = []
    for image, truth in _volumes(cases, device):
        with torch.inference_mode(), autocast(precision, device):
            logits = task.infer(model, image)
        loss = criterion(logits.float(), truth.float())
        found.append(CaseFit(float(loss), _mean_dice(logits > 0, truth)))
    return found


def table_of(subjects: Sequence[Subject], target: Sequence[CaseFit], reference: Sequence[CaseFit]) -> pd.DataFrame:
    """A row a case: ``sites`` (joined by blanks), ``case``, ``member``, ``loss``, ``dice``, ``reference_loss``."""
    rows = [
        (" ".join(subject.sites), subject.case.name, subject.member, now.loss, now.dice, then.loss)
        for subject, now, then in zip(subjects, target, reference, strict=True)
    ]
    return pd.DataFrame(rows, columns=["sites", "case", "member", "loss", "dice", "reference_loss"])


def scores(table: pd.DataFrame) -> dict[str, Scores]:
    """Each attack's score a case, higher for members, from the table's losses and Dice."""
    loss, dice, reference = (table[name].to_numpy(np.float64) for name in ("loss", "dice", "reference_loss"))
    return {"loss": -loss, "dice": dice, "calibrated loss": reference - loss}


def attack(table: pd.DataFrame, rates: Sequence[float] = RATES, seed: int = 0) -> list[Found]:
    """What each attack finds, over all sites and at each with enough members, always against all held-out cases.

    Args:
        table: as :func:`table_of` makes it.
        rates: the false positive rates of interest.
        seed: of the bootstrap.
    """
    member = table["member"].to_numpy(bool)
    found = []
    for name, score in scores(table).items():
        others = score[~member]
        for site, chosen in _groups(table):
            found.append(judged(name, site, score[chosen & member], others, rates, seed))
    return found


def judged(name: str, site: str, members: Scores, others: Scores, rates: Sequence[float], seed: int) -> Found:
    """One attack on one group: AUC and the true positive rate at each false one, with intervals."""

    def tpr(rate: float) -> Estimate:
        return estimate(lambda x, y: tpr_at_fpr(x, y, rate), members, others, seed)

    found = {rate: tpr(rate) for rate in rates}
    return Found(name, site, len(members), len(others), estimate(auc, members, others, seed), found)


def _groups(table: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """All cases, and those of each site with enough members to be told apart from the whole."""
    yield POOLED, np.ones(len(table), bool)
    listed = [set(sites.split()) for sites in table["sites"]]
    sites = sorted(set().union(*listed))
    for site in sites if len(sites) > 1 else []:
        of_site = np.array([site in each for each in listed])
        if (of_site & table["member"].to_numpy(bool)).sum() >= max(LEAST, SITE_LEAST):
            yield site, of_site


def _volumes(cases: Dataset[Any], device: torch.device) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Image and label (1, C, D, H, W) of one case after another, so that memory holds one."""
    for place in range(len(cases)):  # type: ignore[arg-type]
        item = cases[place]
        image, truth = (convert_to_tensor(item[k], track_meta=False, device=device)[None] for k in ("image", "label"))
        yield image, truth


def _mean_dice(predicted: torch.Tensor, truth: torch.Tensor) -> float:
    """Over the regions that the truth has; of a case without any, the challenge's Dice."""
    mean = mean_of_values(region_dice(predicted, truth)[0].tolist())
    return float(challenge_dice(predicted, truth).mean()) if mean is None else mean
