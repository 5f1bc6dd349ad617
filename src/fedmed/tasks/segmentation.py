"""The steps that tasks of segmentation share: items, windows, masks and their scores, means over mirrored copies."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from fedmed.core.errors import InputError
from fedmed.core.options import expect
from fedmed.data.datalist import Case
from fedmed.data.windows import Size
from fedmed.tasks.scoring.metric import Row

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.utils.data import Dataset

Predict = Callable[["torch.Tensor"], "torch.Tensor"]

MOST_EDGE, MOST_VOXELS = 1024, 512**3
"""Of a crop or window: more than any scanner's volume, and more than a network's memory holds."""


def file_items(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """The cases as transforms take them: ``image``, paths, ``label``, a path, and ``case``, the name."""
    return [{"image": [str(p) for p in c.images], "label": str(c.target), "case": c.name} for c in cases]


def one_by_one(cases: Dataset[Any]) -> Iterator[Any]:
    """The items one after another, so that memory holds one case."""
    return (cases[i] for i in range(len(cases)))  # type: ignore[arg-type]


def image_and_label(item: Mapping[str, Any], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """An item's two arrays on ``device``, without MONAI's metadata."""
    from monai.utils import convert_to_tensor

    from fedmed.data.prepared.compact import KEYS

    image, label = (convert_to_tensor(item[key], track_meta=False, device=device) for key in KEYS)
    return image, label


def check_size(name: str, size: tuple[int, ...], divisor: int, least_edge: int) -> None:
    """Refuse a crop or window of a volume that a network cannot take.

    Raises:
        InputError: an edge is no multiple of ``divisor``, too long, or none is as long as ``least_edge``, in voxels.
    """
    ok = len(size) == 3 and all(0 < edge <= MOST_EDGE and edge % divisor == 0 for edge in size)
    expect(ok, name, size, f"three edges in voxels, each above 0, at most {MOST_EDGE} and divisible by {divisor}")
    expect(math.prod(size) <= MOST_VOXELS, name, size, f"at most {MOST_VOXELS:,} voxels in all")
    expect(
        max(size) >= least_edge, name, size, f"at least one edge of {least_edge} voxels or more, as the network needs"
    )


def by_windows(model: nn.Module, image_BCDHW: torch.Tensor, window: Size, blend: str) -> torch.Tensor:
    """The network's output (B, channels, D, H, W) by sliding windows that overlap by half.

    An image that is smaller than the window is padded with zeros for it.

    Args:
        model: the network.
        image_BCDHW: normalised (B, C, D, H, W).
        window: in voxels.
        blend: ``constant``, or ``gaussian`` to trust a window's middle more than its edge.
    """
    from monai.inferers import sliding_window_inference

    output = sliding_window_inference(image_BCDHW, window, sw_batch_size=1, predictor=model, overlap=0.5, mode=blend)
    return output  # type: ignore[return-value]


def mean_over_flips(predict: Predict, image: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    """The mean prediction over an image and its copies mirrored along any of some axes, each mirrored back.

    Args:
        predict: gives (B, targets, ...) for an image (B, C, ...).
        image: (B, C, ...).
        axes: of the image; with none the prediction of the image alone.

    Raises:
        InputError: a prediction holds NaN.
    """
    import torch

    choices = product((False, True), repeat=len(axes))
    mirrored = [[axis for axis, chosen in zip(axes, which, strict=True) if chosen] for which in choices]
    total = torch.zeros(())
    for flipped in mirrored:
        found = predict(image.flip(flipped))
        total = total.to(found.device) + found.flip(flipped)
    if not torch.isfinite(total).all():
        raise InputError("The network's prediction holds NaN; expected finite numbers: look at the image's values.")
    return total / len(mirrored)


def rows_of(case: str, values: Mapping[str, Sequence[float]], targets: Sequence[str]) -> list[Row]:
    """Rows of a case from the values of each quantity, one a target."""
    return [
        Row(case, target, quantity, value)
        for quantity, of_targets in values.items()
        for target, value in zip(targets, of_targets, strict=True)
    ]


@contextlib.contextmanager
def naming(case: str) -> Iterator[None]:
    """An error about a prediction names the case."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{case}: {error}") from error
