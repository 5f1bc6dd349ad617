"""Classification of a brain MR picture as glioma, meningioma, pituitary tumour or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fedmed.core.errors import InputError
from fedmed.core.options import expect_between, expect_share, option
from fedmed.data.audit.case_findings import Rules
from fedmed.data.brain_mri.classes import CLASSES
from fedmed.data.datalist import Case, Datalist
from fedmed.data.prepared.cache import Caching
from fedmed.tasks.base import Metric, NetworkClass, Preset, Row
from fedmed.tasks.classification import (
    class_items,
    class_probabilities,
    images_of,
    in_batches,
    measure_classes,
    share_of_right_classes,
    with_restricted_labels,
)
from fedmed.tasks.scoring.classification_metrics import CLASS_METRICS
from fedmed.tasks.scoring.log_loss import LOG_LOSS
from fedmed.tasks.transfer_learning import TransferLearning

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.utils.data import Dataset

LEAST_EDGE, MOST_EDGE = 64, 1024
"""Pixels: batch normalisation needs two at the network's bottom, and no such picture is larger."""


@dataclass(frozen=True)
class BrainMri(TransferLearning):
    """Four classes of brain MR pictures, as the public sets of Kaggle and figshare have them."""

    norm: Literal["batch", "group"] = option(
        "batch", "normalisation in the network: by batches with running statistics, or in groups of channels"
    )
    image_size: int = option(112, "edge in pixels of the square to which each picture is scaled")
    channels: Literal[1, 3] = option(1, "1: grey, mean 0 and variance 1 each; 3: RGB with ImageNet's normalisation")

    missing_class_scale: float = option(
        1.0,
        "factor of the logits of classes that a site lacks, in its training loss (FedRS); 1 is the usual softmax, as "
        "always under dpsgd, where no image may decide another's gradient",
    )

    KEY_METRIC: ClassVar[str] = "val_accuracy"
    TARGETS: ClassVar[tuple[str, ...]] = CLASSES
    METRICS: ClassVar[tuple[Metric, ...]] = (*CLASS_METRICS, LOG_LOSS)
    KNOWS_PATIENTS: ClassVar[bool] = False
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
    saliency_layer: ClassVar[str] = "layer4"  # its output has a place for every 32 pixels of a picture
    PRESETS: ClassVar[Mapping[str, Preset]] = {
        "standard": Preset("minutes on two cores"),
        "published": Preset(
            "224 pixels of RGB, one round of which each site sends its best epoch",
            {"image_size": 224, "channels": 3, "num_rounds": 1, "aggregation_epochs": 20, "send": "best"},
        ),
        "by_hospital": Preset(
            "for sites that lack classes: four averages an epoch, a softmax over each site's own classes, sites that "
            "count by the root of their cases; with --algorithm fednova",
            {
                "num_rounds": 96,
                "aggregation_weights": "sqrt_cases",
                "aggregation_epochs": 0.25,
                "validate_every": 4,
                "missing_class_scale": 0.0,
            },
        ),
        "demo": Preset(
            "a minute or two on two cores, on phantoms",
            {"num_rounds": 8, "aggregation_epochs": 4, "batch_size": 8, "image_size": 64},
        ),
    }
    DEMO: ClassVar[str] = "dataset_brain_mri/dataset/phantom"

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_between("image_size", self.image_size, LEAST_EDGE, MOST_EDGE)
        expect_share("missing_class_scale", self.missing_class_scale)

    def networks(self) -> Mapping[str, NetworkClass]:
        arguments = {"in_channels": self.channels, "num_classes": len(CLASSES), "norm": self.norm}
        return {f"resnet{depth}": NetworkClass("ImageResNet", {"depth": depth, **arguments}) for depth in (18, 34)}

    def rules(self, label_scheme: str | None) -> Rules:
        if label_scheme is not None:
            raise InputError(
                f"The list states the label_scheme {label_scheme}; expected none: take it out of the list."
            )
        return Rules(("picture",), dimensions=2, classes=CLASSES)

    def describe_data(self, datalist: Datalist) -> dict[str, Any]:
        return {**super().describe_data(datalist), "crops": f"{self.image_size}x{self.image_size} pixels, not cropped"}

    def train_set(self, datalist: Datalist, caching: Caching) -> Dataset[Any]:
        from fedmed.data.brain_mri import brain_mri_transforms

        items = class_items(datalist.training, CLASSES)
        labelled = with_restricted_labels(items, len(CLASSES)) if self.missing_class_scale < 1 else items
        return self._dataset(labelled, caching, brain_mri_transforms.training(self.image_size))

    def train_set_by_patient(self, datalist: Datalist, caching: Caching) -> Dataset[Any]:
        usual = replace(self, missing_class_scale=1.0)
        return super(BrainMri, usual).train_set_by_patient(datalist, caching)

    def eval_set(self, cases: Sequence[Case], label_scheme: str | None, caching: Caching) -> Dataset[Any]:
        return self._dataset(class_items(cases, CLASSES), caching, [])

    def _dataset(self, items: Sequence[Mapping[str, Any]], caching: Caching, after: Sequence[Any]) -> Dataset[Any]:
        """In memory and on disk lie the prepared pictures; ``after`` sees them."""
        from monai.data import CacheDataset

        from fedmed.data.brain_mri import brain_mri_transforms

        transforms = [*brain_mri_transforms.deterministic(self.image_size, self.channels, caching), *after]
        share = caching.share_in_memory
        return CacheDataset(items, transforms, cache_rate=share, num_workers=1, progress=False, copy_cache=False)

    def loss(self) -> nn.Module:
        from fedmed.tasks.restricted_softmax import RestrictedCrossEntropy

        return RestrictedCrossEntropy(self.missing_class_scale)

    def flipped_labels(self, label: torch.Tensor) -> torch.Tensor:
        """Of K classes class K - 1 - y for y; the classes that a site lacks are exchanged in the same way."""
        return len(CLASSES) - 1 - label if label.ndim == 1 else label.flip(1)

    def train_figures(self, output: torch.Tensor, label: torch.Tensor) -> Mapping[str, torch.Tensor | float]:
        return {"accuracy": share_of_right_classes(output, label)}

    def evaluate(self, model: nn.Module, cases: Dataset[Any], device: torch.device) -> list[Row]:
        batches = in_batches(cases)
        return [row for items in batches for rows in self.measure_many(model, items, device) for row in rows]

    def measure(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> list[Row]:
        return self.measure_many(model, [item], device)[0]

    def measure_many(
        self, model: nn.Module, items: Sequence[Mapping[str, Any]], device: torch.device
    ) -> list[list[Row]]:
        return measure_classes(model, items, CLASSES, device)

    def picture(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> bytes:
        from fedmed.tasks.scoring.classification_picture import classification_picture

        image = images_of([item], device)
        probabilities = class_probabilities(model, image)[0].tolist()
        return classification_picture(image[0].cpu().numpy(), int(item["label"]), probabilities, CLASSES)

    def new_image(self, path: Path) -> torch.Tensor:
        from monai.transforms import Compose

        from fedmed.data.brain_mri import brain_mri_transforms
        from fedmed.data.prepared.compact import rounded

        transform = Compose(brain_mri_transforms.picture_of(self.image_size, self.channels))
        image: torch.Tensor = transform({"image": path})["image"]
        return rounded(image).float()  # as pictures are that were cached

    def class_probabilities(self, model: nn.Module, image: torch.Tensor) -> torch.Tensor:
        return class_probabilities(model, image)

    def label_map(self) -> dict[str, Any]:
        return {
            **{str(number): name for number, name in enumerate(CLASSES)},
            "input_channels": ["grey"] if self.channels == 1 else ["red", "green", "blue"],
            "output_channels": {name: number for number, name in enumerate(CLASSES)},
            "prediction": "the channel with the largest softmax",
        }

    def demo_data(self, folder: Path) -> None:
        from fedmed.data.phantoms.brain_mri_phantom import demo_brain_mri

        demo_brain_mri(folder)


PLUGIN = BrainMri
