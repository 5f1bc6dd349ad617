"""Tasks whose case is one 2D picture, of a class or with findings: options, preparation, batches and scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fedmed.core.errors import InputError
from fedmed.core.options import expect_between, option
from fedmed.data.datalist import Case, Datalist
from fedmed.data.prepared.cache import Caching
from fedmed.tasks.base import Row
from fedmed.tasks.transfer_learning import TransferLearning

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.utils.data import Dataset

LEAST_EDGE, MOST_EDGE = 64, 1024
"""Pixels: batch normalisation needs two at the network's bottom, and no public set has larger pictures."""

SCORED_TOGETHER = 32
"""Pictures that a network scores at once."""


@dataclass(frozen=True)
class PictureTask(TransferLearning, ABC):
    """A task of pictures. Its items, its random transforms, its probabilities and its rows are what it says itself."""

    norm: Literal["batch", "group"] = option(
        "batch", "normalisation in the network: by batches with running statistics, or in groups of channels"
    )
    image_size: int = option(112, "edge in pixels of the square to which each picture is scaled")
    channels: Literal[1, 3] = option(1, "1: grey, mean 0 and variance 1 each; 3: RGB with ImageNet's normalisation")

    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "num_rounds": 12,
        "schedule": "cosine",
        "aggregation_epochs": 1,
        "learning_rate": 1e-3,
        "weight_decay": 1e-5,
        "batch_size": 32,
        "cache_dataset": 1.0,
        "n_clients": 3,
    }
    PREDICTION: ClassVar[str]
    """What the network's outputs decide, in words."""

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_between("image_size", self.image_size, LEAST_EDGE, MOST_EDGE)

    @abstractmethod
    def items(self, cases: Sequence[Case]) -> list[dict[str, Any]]:
        """The cases as transforms take them: ``image``, paths, ``label`` and ``case``, the name."""

    @abstractmethod
    def rows(self, item: Mapping[str, Any], probabilities: Sequence[float]) -> list[Row]:
        """The rows of a scored item, whose outputs have these probabilities."""

    @abstractmethod
    def class_probabilities(self, model: nn.Module, image: torch.Tensor) -> torch.Tensor:
        """Finite probabilities (B, targets) of images (B, C, H, W)."""

    @property
    def shape_of_network(self) -> dict[str, Any]:
        """The arguments that networks of pictures have in common."""
        return {"in_channels": self.channels, "num_classes": len(self.TARGETS), "norm": self.norm}

    def describe_data(self, datalist: Datalist) -> dict[str, Any]:
        return {**super().describe_data(datalist), "crops": f"{self.image_size}x{self.image_size} pixels, not cropped"}

    def eval_set(self, cases: Sequence[Case], label_scheme: str | None, caching: Caching) -> Dataset[Any]:
        return self.prepared(self.items(cases), caching)

    def prepared(
        self, items: Sequence[Mapping[str, Any]], caching: Caching, random: Sequence[Any] = ()
    ) -> Dataset[Any]:
        """The items with their pictures prepared, which lie in memory and on disk; ``random`` transforms follow."""
        from monai.data import CacheDataset

        from fedmed.data.prepared.picture_transforms import deterministic

        transforms = [*deterministic(self.image_size, self.channels, caching), *random]
        share = caching.share_in_memory
        return CacheDataset(items, transforms, cache_rate=share, num_workers=1, progress=False, copy_cache=False)

    def evaluate(self, model: nn.Module, cases: Dataset[Any], device: torch.device) -> list[Row]:
        batches = in_batches(cases)
        return [row for items in batches for rows in self.measure_many(model, items, device) for row in rows]

    def measure(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> list[Row]:
        return self.measure_many(model, [item], device)[0]

    def measure_many(
        self, model: nn.Module, items: Sequence[Mapping[str, Any]], device: torch.device
    ) -> list[list[Row]]:
        try:
            found = self.class_probabilities(model, images_of(items, device)).tolist()
        except InputError as error:
            raise InputError(f"{', '.join(item['case'] for item in items):.200}: {error}") from error
        return [self.rows(item, probabilities) for item, probabilities in zip(items, found, strict=True)]

    def new_image(self, path: Path) -> torch.Tensor:
        from monai.transforms import Compose

        from fedmed.data.prepared.compact import rounded
        from fedmed.data.prepared.picture_transforms import picture_of

        transform = Compose(picture_of(self.image_size, self.channels))
        image: torch.Tensor = transform({"image": path})["image"]
        return rounded(image).float()  # as pictures are that were cached

    def label_map(self) -> dict[str, Any]:
        return {
            **{str(number): name for number, name in enumerate(self.TARGETS)},
            "input_channels": ["grey"] if self.channels == 1 else ["red", "green", "blue"],
            "output_channels": {name: number for number, name in enumerate(self.TARGETS)},
            "prediction": self.PREDICTION,
        }


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


def finite(probabilities: torch.Tensor) -> torch.Tensor:
    """The probabilities themselves.

    Raises:
        InputError: they hold NaN.
    """
    if not probabilities.isfinite().all():
        raise InputError("The network's prediction holds NaN; expected finite numbers: look at the image's values.")
    return probabilities
