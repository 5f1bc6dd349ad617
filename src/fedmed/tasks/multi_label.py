"""The items of tasks of several findings at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fedmed.data.datalist import Case
from fedmed.data.targets import class_numbers

if TYPE_CHECKING:
    import torch


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
