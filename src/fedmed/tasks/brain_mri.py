"""Classification of a brain MR picture as glioma, meningioma, pituitary tumour or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fedmed.core.options import expect_share, option
from fedmed.data.audit.case_findings import Rules
from fedmed.data.brain_mri.classes import CLASSES
from fedmed.data.datalist import Case, Datalist
from fedmed.data.prepared.cache import Caching
from fedmed.tasks.base import Metric, NetworkClass, Preset, Row, expect_no_scheme
from fedmed.tasks.classification import class_items, share_of_right_classes, with_restricted_labels
from fedmed.tasks.picture_task import PictureTask, finite, images_of
from fedmed.tasks.scoring.classification_metrics import CLASS_METRICS
from fedmed.tasks.scoring.log_loss import LOG_LOSS

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.utils.data import Dataset


@dataclass(frozen=True)
class BrainMri(PictureTask):
    """Four classes of brain MR pictures, as the public sets of Kaggle and figshare have them."""

    missing_class_scale: float = option(
        1.0,
        "factor of the logits of classes that a site lacks, in its training loss (FedRS); 1 is the usual softmax, as "
        "always under dpsgd, where no image may decide another's gradient",
    )

    KEY_METRIC: ClassVar[str] = "val_accuracy"
    TARGETS: ClassVar[tuple[str, ...]] = CLASSES
    METRICS: ClassVar[tuple[Metric, ...]] = (*CLASS_METRICS, LOG_LOSS)
    PREDICTION: ClassVar[str] = "the channel with the largest softmax"
    KNOWS_PATIENTS: ClassVar[bool] = False
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
        expect_share("missing_class_scale", self.missing_class_scale)

    def networks(self) -> Mapping[str, NetworkClass]:
        arguments = self.shape_of_network
        return {f"resnet{depth}": NetworkClass("ImageResNet", {"depth": depth, **arguments}) for depth in (18, 34)}

    def rules(self, label_scheme: str | None) -> Rules:
        expect_no_scheme(label_scheme)
        return Rules(("picture",), dimensions=2, classes=CLASSES)

    def items(self, cases: Sequence[Case]) -> list[dict[str, Any]]:
        return class_items(cases, CLASSES)

    def rows(self, item: Mapping[str, Any], probabilities: Sequence[float]) -> list[Row]:
        from fedmed.tasks.scoring.classification_metrics import class_rows

        return class_rows(item["case"], CLASSES, probabilities, int(item["label"]))

    def train_set(self, datalist: Datalist, caching: Caching) -> Dataset[Any]:
        from fedmed.data.brain_mri import brain_mri_transforms

        items = self.items(datalist.training)
        labelled = with_restricted_labels(items, len(CLASSES)) if self.missing_class_scale < 1 else items
        return self.prepared(labelled, caching, brain_mri_transforms.training(self.image_size))

    def train_set_by_patient(self, datalist: Datalist, caching: Caching) -> Dataset[Any]:
        usual = replace(self, missing_class_scale=1.0)
        return super(BrainMri, usual).train_set_by_patient(datalist, caching)

    def loss(self) -> nn.Module:
        from fedmed.tasks.restricted_softmax import RestrictedCrossEntropy

        return RestrictedCrossEntropy(self.missing_class_scale)

    def flipped_labels(self, label: torch.Tensor) -> torch.Tensor:
        """Class K - 1 - y of K for each y; the classes that a site lacks are exchanged in the same way."""
        return len(CLASSES) - 1 - label if label.ndim == 1 else label.flip(1)

    def train_figures(self, output: torch.Tensor, label: torch.Tensor) -> Mapping[str, torch.Tensor | float]:
        return {"accuracy": share_of_right_classes(output, label)}

    def picture(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> bytes:
        from fedmed.tasks.scoring.classification_picture import classification_picture

        image = images_of([item], device)
        probabilities = self.class_probabilities(model, image)[0].tolist()
        return classification_picture(image[0].cpu().numpy(), int(item["label"]), probabilities, CLASSES)

    def class_probabilities(self, model: nn.Module, image: torch.Tensor) -> torch.Tensor:
        return finite(model(image).float().softmax(dim=1))

    def demo_data(self, folder: Path) -> None:
        from fedmed.data.phantoms.brain_mri_phantom import demo_brain_mri

        demo_brain_mri(folder)


PLUGIN = BrainMri
