"""The items and training figures of tasks of one class among several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fedmed.data.datalist import Case
from fedmed.data.targets import class_numbers

if TYPE_CHECKING:
    import torch


def class_items(cases: Sequence[Case], classes: Sequence[str]) -> list[dict[str, Any]]:
    """The cases as transforms take them: ``image``, paths, ``label``, the class's number, and ``case``, the name."""
    return [
        {"image": [str(p) for p in case.images], "label": class_numbers(case.target, classes)[0], "case": case.name}
        for case in cases
    ]


def share_of_right_classes(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """The share of a batch's cases whose largest output is that of their class, a scalar.

    Args:
        output: logits (B, K).
        label: the classes' numbers (B,), or restricted labels (B, K).
    """
    from fedmed.tasks.restricted_softmax import class_of

    return (output.argmax(dim=1) == class_of(label)).float().mean()


def with_restricted_labels(items: Sequence[Mapping[str, Any]], classes: int) -> list[dict[str, Any]]:
    """Training items whose labels tell which of ``classes`` classes none of them is of; unchanged if there is none."""
    from fedmed.tasks.restricted_softmax import restricted_label

    present = frozenset(int(item["label"]) for item in items)
    if len(present) == classes:
        return [dict(item) for item in items]
    return [{**item, "label": restricted_label(item["label"], present, classes)} for item in items]
