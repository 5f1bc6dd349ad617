"""The 14 findings of NIH's ChestX-ray14 in a chest film, any number of which a film may show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fedmed.core.errors import InputError
from fedmed.core.options import expect_between, option
from fedmed.core.plugin import ExperimentView
from fedmed.data.audit.case_findings import Rules
from fedmed.data.audit.site_audit import SiteAudit
from fedmed.data.chest_xray.findings import FINDINGS
from fedmed.data.datalist import Case, Datalist
from fedmed.data.prepared.cache import Caching
from fedmed.tasks.base import Metric, NetworkClass, Preset, Row
from fedmed.tasks.classification import images_of, in_batches
from fedmed.tasks.multi_label import finding_items, finding_probabilities, measure_findings, with_positive_weights
from fedmed.tasks.scoring.multi_label_metrics import FINDING_METRICS, FINDING_NOTES
from fedmed.tasks.transfer_learning import TransferLearning

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.utils.data import Dataset

LEAST_EDGE, MOST_EDGE = 64, 1024
"""Pixels: batch normalisation needs two at the network's bottom, and NIH's films have no more."""

WEIGHTS_TELL = (
    "--positive_weights site: every site's training follows its own numbers of films with each finding, so its update "
    "tells more of them to whoever sees it; the numbers themselves are not sent."
)


@dataclass(frozen=True)
class ChestXray(TransferLearning):
    """Findings in chest films, each with a probability of its own."""

    norm: Literal["batch", "group"] = option(
        "batch", "normalisation in the network: by batches with running statistics, or in groups of channels"
    )
    image_size: int = option(112, "edge in pixels of the square to which each picture is scaled")
    channels: Literal[1, 3] = option(1, "1: grey, mean 0 and variance 1 each; 3: RGB with ImageNet's normalisation")
    positive_weights: Literal["off", "site"] = option(
        "off",
        "in the training loss a film with a finding counts as one without, or as much more as the site has fewer of "
        "them, at most 20 times",
    )

    KEY_METRIC: ClassVar[str] = "val_auroc"
    TARGETS: ClassVar[tuple[str, ...]] = FINDINGS
    METRICS: ClassVar[tuple[Metric, ...]] = FINDING_METRICS
    NOTES: ClassVar[tuple[str, ...]] = FINDING_NOTES
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
    PRESETS: ClassVar[Mapping[str, Preset]] = {
        "standard": Preset("grey films of 112 pixels, from random weights"),
        "published": Preset(
            "224 pixels of RGB for --pretrained weights; with --algorithm partial --share layer4,fc",
            {"image_size": 224, "channels": 3, "learning_rate": 1e-4, "num_rounds": 20},
        ),
        "demo": Preset(
            "two minutes on two cores, on phantoms",
            {"network": "resnet18", "num_rounds": 6, "aggregation_epochs": 2, "batch_size": 16, "image_size": 64},
        ),
    }
    DEMO: ClassVar[str] = "dataset_chest_xray/dataset/phantom"

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_between("image_size", self.image_size, LEAST_EDGE, MOST_EDGE)

    def check(self, experiment: ExperimentView) -> None:
        if self.positive_weights == "site" and experiment.privacy.UNIT == "patient":
            raise InputError(
                f"--positive_weights site follows the counts of a site's patients together, and --privacy "
                f"{experiment.privacy.name} lets none of them decide another's gradient; leave it out."
            )

    def networks(self) -> Mapping[str, NetworkClass]:
        arguments = {"in_channels": self.channels, "num_classes": len(FINDINGS), "norm": self.norm}
        return {
            **{f"resnet{depth}": NetworkClass("ImageResNet", {"depth": depth, **arguments}) for depth in (34, 18)},
            "densenet121": NetworkClass("ImageDenseNet", arguments),
        }

    @property
    def saliency_layer(self) -> str:
        """Its output has a place for every 32 pixels of a film."""
        return "features.norm5" if self._network_name == "densenet121" else "layer4"

    def rules(self, label_scheme: str | None) -> Rules:
        if label_scheme is not None:
            raise InputError(
                f"The list states the label_scheme {label_scheme}; expected none: take it out of the list."
            )
        return Rules(("film",), dimensions=2, classes=FINDINGS, several=True, case="film")

    def warnings(self) -> tuple[str, ...]:
        return (WEIGHTS_TELL,) if self.positive_weights == "site" else ()

    def describe_data(self, datalist: Datalist) -> dict[str, Any]:
        return {**super().describe_data(datalist), "crops": f"{self.image_size}x{self.image_size} pixels, not cropped"}

    def audit(self, site: str, datalist: Datalist, allow_overlap: bool, **how: Any) -> SiteAudit:
        from fedmed.data.chest_xray.film_checks import film_findings

        found = super().audit(site, datalist, allow_overlap, **how)
        return found.with_findings([*film_findings(found)])

    def train_set(self, datalist: Datalist, caching: Caching) -> Dataset[Any]:
        from fedmed.data.chest_xray import chest_xray_transforms

        items = finding_items(datalist.training, FINDINGS)
        labelled = with_positive_weights(items) if self.positive_weights == "site" else items
        return self._dataset(labelled, caching, chest_xray_transforms.training(self.image_size))

    def train_set_by_patient(self, datalist: Datalist, caching: Caching) -> Dataset[Any]:
        usual = replace(self, positive_weights="off")  # as no weight of one patient's few films balances anything
        return super(ChestXray, usual).train_set_by_patient(datalist, caching)

    def eval_set(self, cases: Sequence[Case], label_scheme: str | None, caching: Caching) -> Dataset[Any]:
        return self._dataset(finding_items(cases, FINDINGS), caching, [])

    def _dataset(self, items: Sequence[Mapping[str, Any]], caching: Caching, after: Sequence[Any]) -> Dataset[Any]:
        """In memory and on disk lie the prepared films; ``after`` sees them."""
        from monai.data import CacheDataset

        from fedmed.data.chest_xray import chest_xray_transforms

        transforms = [*chest_xray_transforms.deterministic(self.image_size, self.channels, caching), *after]
        share = caching.share_in_memory
        return CacheDataset(items, transforms, cache_rate=share, num_workers=1, progress=False, copy_cache=False)

    def loss(self) -> nn.Module:
        from fedmed.tasks.finding_loss import FindingLoss

        return FindingLoss()

    def flipped_labels(self, label: torch.Tensor) -> torch.Tensor:
        """Each finding there where it is not, and the reverse; weights of positive cases stay those of the truth."""
        if label.ndim == 2:
            return 1 - label
        flipped = label.clone()
        flipped[:, 0] = 1 - label[:, 0]
        return flipped

    def evaluate(self, model: nn.Module, cases: Dataset[Any], device: torch.device) -> list[Row]:
        batches = in_batches(cases)
        return [row for items in batches for rows in self.measure_many(model, items, device) for row in rows]

    def measure(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> list[Row]:
        return self.measure_many(model, [item], device)[0]

    def measure_many(
        self, model: nn.Module, items: Sequence[Mapping[str, Any]], device: torch.device
    ) -> list[list[Row]]:
        return measure_findings(model, items, FINDINGS, device)

    def picture(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> bytes:
        from fedmed.tasks.scoring.multi_label_picture import multi_label_picture

        image = images_of([item], device)
        probabilities = finding_probabilities(model, image)[0].tolist()
        return multi_label_picture(image[0].cpu().numpy(), item["label"].tolist(), probabilities, FINDINGS)

    def new_image(self, path: Path) -> torch.Tensor:
        from monai.transforms import Compose

        from fedmed.data.chest_xray import chest_xray_transforms
        from fedmed.data.prepared.compact import rounded

        transform = Compose(chest_xray_transforms.picture_of(self.image_size, self.channels))
        image: torch.Tensor = transform({"image": path})["image"]
        return rounded(image).float()  # as films are that were cached

    def oddities(self, path: Path) -> tuple[str, ...]:
        from fedmed.data.chest_xray.orientation import orientation_of
        from fedmed.data.picture_pixels import picture_pixels

        seen = orientation_of(picture_pixels(path, channels=1)[0])
        return (f"seems to be {seen.form}",) if seen is not None and seen.suspicious else ()

    def class_probabilities(self, model: nn.Module, image: torch.Tensor) -> torch.Tensor:
        return finding_probabilities(model, image)

    def label_map(self) -> dict[str, Any]:
        return {
            **{str(number): name for number, name in enumerate(FINDINGS)},
            "input_channels": ["grey"] if self.channels == 1 else ["red", "green", "blue"],
            "output_channels": {name: number for number, name in enumerate(FINDINGS)},
            "prediction": "each finding alone: the sigmoid of its channel, against its threshold in thresholds.json",
        }

    def demo_data(self, folder: Path) -> None:
        from fedmed.data.phantoms.chest_xray_phantom import demo_chest_xray

        demo_chest_xray(folder)


PLUGIN = ChestXray
