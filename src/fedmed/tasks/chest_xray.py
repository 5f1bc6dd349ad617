"""The 14 findings of NIH's ChestX-ray14 in a chest film, any number of which a film may show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fedmed.core.errors import InputError
from fedmed.core.options import option
from fedmed.core.plugin import ExperimentView
from fedmed.data.audit.case_findings import Rules
from fedmed.data.audit.site_audit import SiteAudit
from fedmed.data.chest_xray.findings import FINDINGS
from fedmed.data.datalist import Case, Datalist
from fedmed.data.prepared.cache import Caching
from fedmed.tasks.base import Metric, NetworkClass, Preset, Row, expect_no_scheme
from fedmed.tasks.multi_label import finding_items, with_positive_weights
from fedmed.tasks.picture_task import PictureTask, finite, images_of
from fedmed.tasks.scoring.multi_label_metrics import FINDING_METRICS, FINDING_NOTES

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.utils.data import Dataset

WEIGHTS_TELL = (
    "--positive_weights site: every site's training follows its own numbers of films with each finding, so its update "
    "tells more of them to whoever sees it; the numbers themselves are not sent."
)


@dataclass(frozen=True)
class ChestXray(PictureTask):
    """Findings in chest films, each with a probability of its own."""

    positive_weights: Literal["off", "site"] = option(
        "off",
        "in the training loss a film with a finding counts as one without, or as much more as the site has fewer of "
        "them, at most 20 times",
    )

    KEY_METRIC: ClassVar[str] = "val_auroc"
    TARGETS: ClassVar[tuple[str, ...]] = FINDINGS
    METRICS: ClassVar[tuple[Metric, ...]] = FINDING_METRICS
    PREDICTION: ClassVar[str] = (
        "each finding alone: the sigmoid of its channel, against its threshold in thresholds.json"
    )
    NOTES: ClassVar[tuple[str, ...]] = FINDING_NOTES
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

    def check(self, experiment: ExperimentView) -> None:
        if self.positive_weights == "site" and experiment.privacy.UNIT == "patient":
            raise InputError(
                f"--positive_weights site follows the counts of a site's patients together, and --privacy "
                f"{experiment.privacy.name} lets none of them decide another's gradient; leave it out."
            )

    def networks(self) -> Mapping[str, NetworkClass]:
        arguments = self.shape_of_network
        return {
            **{f"resnet{depth}": NetworkClass("ImageResNet", {"depth": depth, **arguments}) for depth in (34, 18)},
            "densenet121": NetworkClass("ImageDenseNet", arguments),
        }

    @property
    def saliency_layer(self) -> str:
        """Its output has a place for every 32 pixels of a film."""
        return "features.norm5" if self._network_name == "densenet121" else "layer4"

    def rules(self, label_scheme: str | None) -> Rules:
        expect_no_scheme(label_scheme)
        return Rules(("film",), dimensions=2, classes=FINDINGS, several=True, case="film")

    def warnings(self) -> tuple[str, ...]:
        return (WEIGHTS_TELL,) if self.positive_weights == "site" else ()

    def audit(self, site: str, datalist: Datalist, allow_overlap: bool, **how: Any) -> SiteAudit:
        from fedmed.data.chest_xray.film_checks import film_findings

        found = super().audit(site, datalist, allow_overlap, **how)
        return found.with_findings([*film_findings(found)])

    def items(self, cases: Sequence[Case]) -> list[dict[str, Any]]:
        return finding_items(cases, FINDINGS)

    def rows(self, item: Mapping[str, Any], probabilities: Sequence[float]) -> list[Row]:
        from fedmed.tasks.scoring.multi_label_metrics import finding_rows

        return finding_rows(item["case"], FINDINGS, probabilities, item["label"].tolist())

    def train_set(self, datalist: Datalist, caching: Caching) -> Dataset[Any]:
        from fedmed.data.chest_xray import chest_xray_transforms

        items = self.items(datalist.training)
        labelled = with_positive_weights(items) if self.positive_weights == "site" else items
        return self.prepared(labelled, caching, chest_xray_transforms.training(self.image_size))

    def train_set_by_patient(self, datalist: Datalist, caching: Caching) -> Dataset[Any]:
        usual = replace(self, positive_weights="off")  # as no weight of one patient's few films balances anything
        return super(ChestXray, usual).train_set_by_patient(datalist, caching)

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

    def picture(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> bytes:
        from fedmed.tasks.scoring.multi_label_picture import multi_label_picture

        image = images_of([item], device)
        probabilities = self.class_probabilities(model, image)[0].tolist()
        return multi_label_picture(image[0].cpu().numpy(), item["label"].tolist(), probabilities, FINDINGS)

    def oddities(self, path: Path) -> tuple[str, ...]:
        from fedmed.data.chest_xray.orientation import orientation_of
        from fedmed.data.picture_pixels import picture_pixels

        seen = orientation_of(picture_pixels(path, channels=1)[0])
        return (f"seems to be {seen.form}",) if seen is not None and seen.suspicious else ()

    def class_probabilities(self, model: nn.Module, image: torch.Tensor) -> torch.Tensor:
        return finite(model(image).float().sigmoid())

    def demo_data(self, folder: Path) -> None:
        from fedmed.data.phantoms.chest_xray_phantom import demo_chest_xray

        demo_chest_xray(folder)


PLUGIN = ChestXray
