"""The steps that tasks of one class among several share: items, batches of them, scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fedmed.core.errors import InputError
from fedmed.data.datalist import Case
from fedmed.data.targets import class_numbers
from fedmed.tasks.scoring.metric import Row

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.utils.data import Dataset

SCORED_TOGETHER = 32
"""Pictures that a network scores at once."""


def class_items(cases: Sequence[Case], classes: Sequence[str]) -> list[dict[str, Any]]:
    """The cases as transforms take them: ``image``, paths, ``label``, the class's number, and ``case``, the name."""
    return [
        {"image": [str(p) for p in case.images], "label": class_numbers(case.target, classes)[0], "case": case.name}
        for case in cases
    ]


def in_batches(cases: Dataset[Any]) -> Iterator[list[Any]]:
    """The items in lists of :data:`SCORED_TOGETHER`, so that memory holds one list."""
    number = len(cases)  # type: ignore[arg-type]
    for first in range(0, number, SCORED_TOGETHER):
        yield [cases[place] for place in range(first, min(first + SCORED_TOGETHER, number))]


def images_of(items: Sequence[Mapping[str, Any]], device: torch.device) -> torch.Tensor:
    """The pictures of some items (B, C, H, W) on ``device``, without MONAI's metadata."""
    import torch
    from monai.utils import convert_to_tensor

    return torch.stack([convert_to_tensor(item["image"], track_meta=False, device=device) for item in items])


def class_probabilities(model: nn.Module, image_BCHW: torch.Tensor) -> torch.Tensor:
    """Probabilities (B, K) of the classes by the softmax of the network's logits.

    Raises:
        InputError: they hold NaN.
    """
    return finite(model(image_BCHW).float().softmax(dim=1))


def finite(probabilities: torch.Tensor) -> torch.Tensor:
    """The probabilities themselves.

    Raises:
        InputError: they hold NaN.
    """
    if not probabilities.isfinite().all():
        raise InputError("The network's prediction holds NaN; expected finite numbers: look at the image's values.")
    return probabilities


def measure_classes(
    model: nn.Module, items: Sequence[Mapping[str, Any]], classes: Sequence[str], device: torch.device
) -> list[list[Row]]:
    """The rows of each of some items, which the network scores together.

    Raises:
        InputError: the prediction holds NaN; the sentence names the cases.
    """
    from fedmed.tasks.scoring.classification_metrics import class_rows

    try:
        found = class_probabilities(model, images_of(items, device)).tolist()
    except InputError as error:
        raise InputError(f"{', '.join(item['case'] for item in items):.200}: {error}") from error
    return [
        class_rows(item["case"], classes, scores, int(item["label"])) for item, scores in zip(items, found, strict=True)
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
