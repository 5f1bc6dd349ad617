"""Segmentation of lower-grade gliomas in slices of brain MR, of which a patient has some dozens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fedmed.core.errors import InputError, counted
from fedmed.core.options import expect, expect_share, option
from fedmed.core.plugin import ExperimentView
from fedmed.data.audit.case_findings import Rules
from fedmed.data.audit.finding import Finding
from fedmed.data.audit.site_audit import SiteAudit
from fedmed.data.datalist import Case, Datalist, joined
from fedmed.data.prepared.cache import Caching
from fedmed.tasks.base import Metric, NetworkClass, Preset, Row, expect_no_scheme
from fedmed.tasks.scoring.slice_catalogue import SLICE_METRICS, SLICE_NOTES
from fedmed.tasks.segmentation import image_and_label, mean_over_flips, naming
from fedmed.tasks.transfer_learning import TransferLearning

if TYPE_CHECKING:
    import monai.transforms as mt
    import torch
    from torch import nn
    from torch.utils.data import Dataset

LEAST_EDGE, MOST_EDGE, DIVISOR = 64, 512, 16
"""Of a prepared slice in pixels; the networks halve its grid four times."""

TOGETHER = 16
"""Slices that a network scores at once."""

SMOOTH = 1.0
"""Pixels that Dice adds above and below, so that slices without tumour have a gradient that is no accident."""

CHECK = "empty tumour"
"""The name of the findings on splits without any tumour."""

LGG_RULES = Rules(("slice",), dimensions=2, labels=(0, 255), foreground="tumour", case="slice", whole=False)


@dataclass(frozen=True)
class Lgg(TransferLearning):
    """The FLAIR abnormality in slices of pre-contrast, FLAIR and post-contrast MR (Buda et al. 2019)."""

    norm: Literal["batch", "group"] = option(
        "batch", "normalisation in the network: by batches with running statistics, or in groups of channels"
    )
    image_size: int = option(128, "edge in pixels of the square to which the head in each slice is scaled")
    tumour_slices: float = option(
        0.0, "share of an epoch's slices that show tumour, drawn with replacement; 0 draws every slice once"
    )
    loss_function: Literal["dice_ce", "dice_focal"] = option(
        "dice_ce", "training loss: Dice of the batch with cross-entropy, or with the focal loss"
    )

    KEY_METRIC: ClassVar[str] = "val_dice"
    TARGETS: ClassVar[tuple[str, ...]] = ("tumour",)
    METRICS: ClassVar[tuple[Metric, ...]] = SLICE_METRICS
    NOTES: ClassVar[tuple[str, ...]] = SLICE_NOTES
    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "num_rounds": 30,
        "aggregation_epochs": 1,
        "learning_rate": 1e-3,
        "weight_decay": 1e-5,
        "batch_size": 16,
        "cache_dataset": 1.0,
        "n_clients": 4,
    }
    PRESETS: ClassVar[Mapping[str, Preset]] = {
        "standard": Preset("128 pixels, hours on two cores"),
        "published": Preset("256 pixels, as the reference's network was trained", {"image_size": 256}),
        "demo": Preset(
            "three minutes on two cores, on phantoms",
            {"num_rounds": 6, "aggregation_epochs": 4, "batch_size": 8, "image_size": 64, "network": "unet_16"},
        ),
    }
    DEMO: ClassVar[str] = "dataset_lgg/dataset/phantom"

    def __post_init__(self) -> None:
        super().__post_init__()
        edge = self.image_size
        expect_share("tumour_slices", self.tumour_slices)
        fits = LEAST_EDGE <= edge <= MOST_EDGE and edge % DIVISOR == 0
        expect(fits, "image_size", edge, f"a number from {LEAST_EDGE} to {MOST_EDGE} that {DIVISOR} divides")

    def check(self, experiment: ExperimentView) -> None:
        if self.tumour_slices and experiment.privacy.UNIT == "patient":
            raise InputError(
                f"--tumour_slices draws slices by their labels, and --privacy {experiment.privacy.name} draws "
                "patients, with all their slices; leave it out."
            )

    def networks(self) -> Mapping[str, NetworkClass]:
        transunet = {"image_size": self.image_size, "norm": self.norm}
        return {
            "unet": NetworkClass("LggUNet", {"features": 32, "norm": self.norm}),
            "unet_16": NetworkClass("LggUNet", {"features": 16, "norm": self.norm}),
            "transunet": NetworkClass("TransUNet", {"size": "small", **transunet}),
            "transunet_r50_b16": NetworkClass("TransUNet", {"size": "r50_b16", **transunet}),
        }

    def rules(self, label_scheme: str | None) -> Rules:
        expect_no_scheme(label_scheme)
        return LGG_RULES

    def scored(self, cases: Sequence[Case]) -> tuple[Case, ...]:
        """A case a folder, that of a patient's scan, with the folder's name and its slices in the list's order."""
        folders: dict[Path, list[Case]] = {}
        for case in cases:
            folders.setdefault(case.images[0].parent, []).append(case)
        return tuple(joined(slices, folder.name) for folder, slices in folders.items())

    def describe_data(self, datalist: Datalist) -> dict[str, Any]:
        patients = {split: len({self.patient_of(each) for each in cases}) for split, cases in datalist.splits.items()}
        edge = f"{self.image_size}x{self.image_size}"
        return {**super().describe_data(datalist), "patients": patients, "crops": f"{edge} pixels, around the head"}

    def audit(self, site: str, datalist: Datalist, allow_overlap: bool, **how: Any) -> SiteAudit:
        found = super().audit(site, datalist, allow_overlap, **how)
        return found.with_findings([*_without_tumour(found)])

    def train_set(self, datalist: Datalist, caching: Caching) -> Dataset[Any]:
        from fedmed.data.lgg import lgg_transforms
        from fedmed.data.lgg.slice_dataset import SliceDataset

        return SliceDataset(datalist.training, caching, self.image_size, lgg_transforms.training(self.image_size))

    def sampling_weights(self, train_set: Dataset[Any]) -> list[float] | None:
        from fedmed.data.lgg.slice_dataset import SliceDataset, weights_for_share

        assert isinstance(train_set, SliceDataset)
        return weights_for_share(train_set.shows_tumour(), self.tumour_slices) if self.tumour_slices else None

    def eval_set(self, cases: Sequence[Case], label_scheme: str | None, caching: Caching) -> Dataset[Any]:
        """Volumes: ``image`` (3, H, W, S) and ``label`` (1, H, W, S) of 0 and 1."""
        from monai.data import CacheDataset

        from fedmed.data.lgg import lgg_transforms
        from fedmed.data.lgg.slice_dataset import volume_item

        items = [volume_item(case.parts, case.name) for case in cases]
        transforms = lgg_transforms.deterministic(caching, self.image_size)
        share = caching.share_in_memory
        return CacheDataset(items, transforms, cache_rate=share, num_workers=1, progress=False, copy_cache=False)

    def new_volume(self) -> mt.Compose:
        """The transform from ``image``, slices' pixels (3, S, H, W), to that of :meth:`eval_set`; can be inverted."""
        import monai.transforms as mt

        from fedmed.data.lgg import lgg_transforms

        return mt.Compose(lgg_transforms.new_volume(self.image_size))

    def preparation(self) -> str:
        from fedmed.data.lgg.head_volume import PERCENTILES

        low, high = PERCENTILES
        edge = self.image_size
        return (
            f"Each channel is clipped to the percentiles {low:g} and {high:g} of the head in all slices of the volume "
            f"together and made mean 0 and variance 1 there; slices are cut to the head and scaled to {edge} x {edge} "
            "pixels, and probabilities are led back to the slices' own pixels, linearly interpolated."
        )

    def loss(self) -> nn.Module:
        from monai.losses import DiceCELoss, DiceFocalLoss

        kind: type[DiceCELoss | DiceFocalLoss] = DiceCELoss if self.loss_function == "dice_ce" else DiceFocalLoss
        return kind(sigmoid=True, batch=True, smooth_nr=SMOOTH, smooth_dr=SMOOTH)

    def flipped_labels(self, label: torch.Tensor) -> torch.Tensor:
        """Masks of what is no tumour."""
        return 1 - label

    def evaluate(self, model: nn.Module, cases: Dataset[Any], device: torch.device) -> list[Row]:
        items = (cases[place] for place in range(len(cases)))  # type: ignore[arg-type]
        return [row for item in items for row in self._rows(model, item, device, flips=False, distances=False)]

    def measure(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> list[Row]:
        return self._rows(model, item, device, flips=False, distances=True)

    def measure_flipped(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> list[Row]:
        return self._rows(model, item, device, flips=True, distances=True)

    def _rows(
        self, model: nn.Module, item: Mapping[str, Any], device: torch.device, *, flips: bool, distances: bool
    ) -> list[Row]:
        from fedmed.tasks.scoring.slice_metrics import distance_row, overlap_rows

        image, label = image_and_label(item, device)
        with naming(item["case"]):
            found = self.probabilities(model, image[None], flips)[0, 0]
        of_case = (item["case"], self.TARGETS[0], found.movedim(-1, 0), label[0].bool().movedim(-1, 0))
        rows = overlap_rows(*of_case)
        return [*rows, distance_row(*of_case)] if distances else rows

    def infer(self, model: nn.Module, image_BCHWS: torch.Tensor) -> torch.Tensor:
        """Logits (B, 1, H, W, S) of the tumour, by batches of slices.

        Args:
            image_BCHWS: normalised volumes (B, 3, H, W, S).
        """
        import torch

        batch, channels, height, width, slices = image_BCHWS.shape
        every = image_BCHWS.movedim(-1, 1).reshape(batch * slices, channels, height, width)
        found = torch.cat([model(some) for some in every.split(TOGETHER)])
        return found.reshape(batch, slices, 1, height, width).movedim(1, -1)

    def probabilities(self, model: nn.Module, image_BCHWS: torch.Tensor, flips: bool = False) -> torch.Tensor:
        """Probabilities (B, 1, H, W, S) of the tumour.

        Args:
            image_BCHWS: normalised volumes (B, 3, H, W, S).
            flips: the mean over the image and its copy of the other side.

        Raises:
            InputError: the network gives NaN.
        """
        from fedmed.data.lgg.lgg_transforms import LEFT_RIGHT

        axes = (2 + LEFT_RIGHT,) if flips else ()
        return mean_over_flips(lambda image: self.infer(model, image).float().sigmoid(), image_BCHWS, axes)

    def picture(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> bytes:
        from fedmed.data.lgg.head_volume import FLAIR
        from fedmed.tasks.scoring.slice_metrics import THRESHOLD
        from fedmed.tasks.scoring.slices_picture import slices_picture

        image, label = image_and_label(item, device)
        predicted = self.probabilities(model, image[None])[0, 0] > THRESHOLD
        shown = (image[FLAIR].float(), label[0].bool(), predicted)
        return slices_picture(*(each.movedim(-1, 0).cpu().numpy() for each in shown))

    def label_map(self) -> dict[str, Any]:
        from fedmed.data.lgg.head_volume import CHANNELS

        return {
            "input_channels": list(CHANNELS),
            "output_channels": {self.TARGETS[0]: 0},
            "prediction": "tumour where the sigmoid is above 0.5",
        }

    def demo_data(self, folder: Path) -> None:
        from fedmed.data.phantoms.lgg_phantom import demo_lgg

        demo_lgg(folder)


PLUGIN = Lgg


def _without_tumour(audit: SiteAudit) -> Iterator[Finding]:
    """An error where no training slice shows a tumour, and a warning where none of another split does."""
    shown: dict[str, list[bool]] = {}
    for each in audit.cases:
        if each.facts and each.facts.label:
            shown.setdefault(each.split, []).append(each.facts.label.foreground > 0)
    for split, slices in shown.items():
        found = f"{audit.site} has {counted(len(slices), f'{split} slice')}, none of which shows a tumour"
        if split == "training" and not any(slices):
            yield Finding("error", CHECK, f"{found}; expected at least one that does: correct its list.")
        elif not any(slices):
            yield Finding("warning", CHECK, f"{found}, so that they have no Dice; look whether that is so.")
