"""The figures of an epoch of local training. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from fedmed.core.site_scores import TRAINED

LOSS = TRAINED[0]


class Step(NamedTuple):
    """An optimiser step: its loss, a scalar, the task's figures of its batch, and the number of cases in it."""

    loss: torch.Tensor
    figures: Mapping[str, torch.Tensor | float]
    cases: int


def epoch_figures(steps: Sequence[Step]) -> dict[str, float]:
    """``train_loss``, the mean over the steps, and each figure of the batches as ``train_<name>``, the mean over cases.

    Nothing is read from the device before the last step, so that no step waits for it.
    """
    names = dict.fromkeys(name for step in steps for name in step.figures)
    figures = {f"train_{name}": _mean_over_cases(name, steps) for name in names}
    return {LOSS: float(torch.stack([step.loss for step in steps]).double().mean()), **figures}


def _mean_over_cases(name: str, steps: Sequence[Step]) -> float:
    known = [(step.figures[name], step.cases) for step in steps if name in step.figures]
    values = torch.stack([torch.as_tensor(value) for value, _ in known]).double().cpu()
    cases = torch.tensor([count for _, count in known], dtype=torch.float64)
    return float((values * cases).sum() / cases.sum())
