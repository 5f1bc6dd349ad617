"""Membership inference: is a case treated so well by a model that it must have been in the training data?

The attacker has the model, the case and its label, and trains no model of its own. Its scores: the loss (Yeom et al.
2018, arXiv 1709.01604), the case's score by the task's first metric, and the loss by which a reference model that never
saw the case does worse, so that a case's own difficulty does not count (Watson et al. 2022, arXiv 2111.08440).
"""

import math
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
from fedmed.analysis.evaluation.case_score import case_score, case_score_name
from fedmed.core.precision import autocast
from fedmed.core.statistics import Estimate
from fedmed.tasks.base import Row, Task

SITE_LEAST = 4
"""Members below which a site is not judged apart."""

RATES = (0.01, 0.1)
"""False positive rates at which the true positive rate is reported."""

EVERY_SITE = "all sites"

COMMON_COLUMNS = ("sites", "case", "member", "loss", "reference_loss")
"""The columns of the table of cases, whatever the task's score is called."""


@runtime_checkable
class Windowed(Protocol):
    """A task that puts a large image through its network in windows."""

    def infer(self, model: nn.Module, image: torch.Tensor) -> torch.Tensor:
        """The network's output for a whole image (B, C, ...)."""


class CaseFit(NamedTuple):
    """A model's fit of a case: the training loss over the whole image, and the case's score, higher for better."""

    loss: float
    score: float


class AttackResult(NamedTuple):
    """The success of one attack on the members of one site, or of all."""

    attack: str
    site: str
    members: int
    others: int
    auc: Estimate
    tpr: Mapping[float, Estimate]
    """Values by false positive rate."""


def case_losses(task: Task, model: nn.Module, cases: Dataset[Any], device: torch.device, precision: str) -> list[float]:
    """The training loss of each case of an evaluation set: no crop, no random transform, no dropout.

    Args:
        task: gives the loss, and where it has windows puts a whole image through the network by them.
        model: in eval mode, on ``device``.
        cases: items of ``image`` (C, ...) and ``label``.
        precision: the arithmetic of the forward pass, as in :func:`fedmed.core.precision.autocast`.
    """
    criterion, losses = task.loss(), []
    for item in _items(cases):
        image, truth = (_batch_of_one(item[name], device) for name in ("image", "label"))
        with torch.inference_mode(), autocast(precision, device):
            output = task.infer(model, image) if isinstance(task, Windowed) else model(image)
        label = truth.float() if truth.ndim > 1 else truth  # classes are numbers, masks and findings are not
        losses.append(float(criterion(output.float(), label)))
    return losses


def case_fits(task: Task, model: nn.Module, cases: Dataset[Any], device: torch.device, precision: str) -> list[CaseFit]:
    """A model's loss and score of each case of an evaluation set. Arguments as of :func:`case_losses`."""
    fits = []
    for item, loss in zip(_items(cases), case_losses(task, model, cases, device, precision), strict=True):
        with torch.inference_mode(), autocast(precision, device):
            rows = task.evaluate(model, _Only(item), device)
        fits.append(CaseFit(loss, _score(task, rows)))
    return fits


def table_of(
    task: Task, subjects: Sequence[Subject], target: Sequence[CaseFit], reference: Sequence[float]
) -> pd.DataFrame:
    """A row a case: ``sites`` (joined by blanks), ``case``, ``member``, ``loss``, the score under its own
    name, and ``reference_loss``."""
    rows = [
        (" ".join(subject.sites), subject.case.name, subject.member, now.loss, now.score, then)
        for subject, now, then in zip(subjects, target, reference, strict=True)
    ]
    *before, last = COMMON_COLUMNS
    return pd.DataFrame(rows, columns=[*before, case_score_name(task.METRICS), last])


def by_patient(table: pd.DataFrame, patients: Sequence[str]) -> pd.DataFrame:
    """A row a patient where some have several cases, else the table as it is: who was trained on is asked of patients.

    A patient's numbers are the means of the cases', and he is a member where any of them is; his row's ``case`` is his
    name.

    Args:
        table: of :func:`table_of`.
        patients: the patient of each row.
    """
    if len(set(patients)) == len(table):
        return table
    joined = table.assign(case=list(patients)).groupby("case", sort=False)
    means = joined[[name for name in table.columns if name not in ("sites", "case", "member")]].mean()
    sites = joined["sites"].agg(lambda each: " ".join(dict.fromkeys(" ".join(each).split())))
    together = means.assign(sites=sites, member=joined["member"].any()).reset_index()
    return together[list(table.columns)]


def scores(table: pd.DataFrame) -> dict[str, Scores]:
    """Each attack's score a case, higher for members, from the columns that :func:`table_of` makes."""
    (own,) = (str(name) for name in table.columns if name not in COMMON_COLUMNS)
    loss, score, reference = (table[name].to_numpy(np.float64) for name in ("loss", own, "reference_loss"))
    return {"loss": -loss, own: score, "calibrated loss": reference - loss}


def attack(table: pd.DataFrame, rates: Sequence[float] = RATES, seed: int = 0) -> list[AttackResult]:
    """Each attack's success, over all sites and at each with enough members, always against all held-out cases.

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


def judged(name: str, site: str, members: Scores, others: Scores, rates: Sequence[float], seed: int) -> AttackResult:
    """One attack on one group: AUC and the true positive rate at each false one, with intervals."""

    def tpr(rate: float) -> Estimate:
        return estimate(lambda x, y: tpr_at_fpr(x, y, rate), members, others, seed)

    found = {rate: tpr(rate) for rate in rates}
    return AttackResult(name, site, len(members), len(others), estimate(auc, members, others, seed), found)


def _groups(table: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """All cases, and those of each site with enough members to be judged apart."""
    yield EVERY_SITE, np.ones(len(table), bool)
    listed = [set(sites.split()) for sites in table["sites"]]
    sites = sorted(set().union(*listed))
    for site in sites if len(sites) > 1 else []:
        of_site = np.array([site in each for each in listed])
        if (of_site & table["member"].to_numpy(bool)).sum() >= max(LEAST, SITE_LEAST):
            yield site, of_site


class _Only(Dataset[Any]):
    """A dataset of one item."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        self._item = item

    def __len__(self) -> int:
        return 1

    def __getitem__(self, place: int) -> Mapping[str, Any]:
        if place:
            raise IndexError(place)
        return self._item


def _items(cases: Dataset[Any]) -> Iterator[Mapping[str, Any]]:
    """One item after another, so that memory holds one."""
    for place in range(len(cases)):  # type: ignore[arg-type]
        yield cases[place]


def _batch_of_one(values: Any, device: torch.device) -> torch.Tensor:
    return convert_to_tensor(torch.as_tensor(values), track_meta=False, device=device)[None]


def _score(task: Task, rows: Sequence[Row]) -> float:
    """The case's score; where it has none, as of a case with an empty truth, the next share that has a value."""
    shares = (metric.reduce(rows) for metric in task.METRICS if metric.combines == "values" and metric.is_share)
    return next((value for value in (case_score(task.METRICS, rows), *shares) if not math.isnan(value)), math.nan)
