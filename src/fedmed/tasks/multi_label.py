"""The steps that tasks of several findings at once share: items, batches of them, scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fedmed.core.errors import InputError
from fedmed.data.datalist import Case
from fedmed.data.targets import class_numbers
from fedmed.tasks.classification import finite, images_of
from fedmed.tasks.scoring.metric import Row

if TYPE_CHECKING:
    import torch
    from torch import nn


def finding_items(cases: Sequence[Case], findings: Sequence[str]) -> list[dict[str, Any]]:
    """The cases as transforms take them: ``image``, paths, ``label``, the truth (K,), and ``case``, the name."""
    return [
        {"image": [str(path) for path in case.images], "label": truth_of(case, findings), "case": case.name}
        for case in cases
    ]


def truth_of(case: Case, findings: Sequence[str]) -> torch.Tensor:
    """1 for each finding that the case has, 0 for the others, (K,)."""
    import torch

    truth = torch.zeros(len(findings))
    truth[list(class_numbers(case.target, findings, several=True))] = 1
    return truth


def with_positive_weights(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Training items whose labels hold the weights of positive cases too, from the counts of these very items."""
    from fedmed.tasks.finding_loss import positive_weights, weighted_label

    weights = positive_weights([item["label"] for item in items])
    return [{**item, "label": weighted_label(item["label"], weights)} for item in items]


def finding_probabilities(model: nn.Module, image_BCHW: torch.Tensor) -> torch.Tensor:
    """Probabilities (B, K) of the findings, each by the sigmoid of its logit.

    Raises:
        InputError: they hold NaN.
    """
    return finite(model(image_BCHW).float().sigmoid())


def measure_findings(
    model: nn.Module, items: Sequence[Mapping[str, Any]], findings: Sequence[str], device: torch.device
) -> list[list[Row]]:
    """The rows of each of some items, which the network scores together.

    Raises:
        InputError: the prediction holds NaN; the sentence names the cases.
    """
    from fedmed.tasks.scoring.multi_label_metrics import finding_rows

    try:
        found = finding_probabilities(model, images_of(items, device)).tolist()
    except InputError as error:
        raise InputError(f"{', '.join(item['case'] for item in items):.200}: {error}") from error
    return [
        finding_rows(item["case"], findings, scores, item["label"].tolist())
        for item, scores in zip(items, found, strict=True)
    ]
