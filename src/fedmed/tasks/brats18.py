"""Brain tumour segmentation on BraTS: tumour core, whole tumour and enhancing tumour from four MR modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fedmed.core.errors import InputError, in_words
from fedmed.core.options import expect_share, option
from fedmed.data.audit.case_findings import Rules
from fedmed.data.brats.brats_layout import LABEL_SCHEMES, MODALITIES, label_scheme
from fedmed.data.brats.brats_rules import brats_rules, patient_of
from fedmed.data.brats.case_picture import PARTS
from fedmed.data.datalist import Case, Datalist
from fedmed.data.prepared.cache import Caching
from fedmed.data.volumes import volume_size
from fedmed.data.windows import Size, fit, largest, round_up
from fedmed.tasks.base import Metric, NetworkClass, Preset, Row, Task
from fedmed.tasks.scoring.metric_catalogue import SEGMENTATION_METRICS, SEGMENTATION_NOTE
from fedmed.tasks.scoring.segmentation_picture import Layer, segmentation_picture
from fedmed.tasks.segmentation import (
    by_windows,
    check_size,
    file_items,
    image_and_label,
    mean_over_flips,
    naming,
    one_by_one,
    rows_of,
)

if TYPE_CHECKING:
    import monai.transforms as mt
    import torch
    from torch import nn
    from torch.utils.data import Dataset

PUBLISHED_ROI: Size = (224, 224, 144)
PUBLISHED_INFER_ROI: Size = (240, 240, 160)
DEMO_SIZE: Size = (64, 64, 56)
"""Voxels of the demonstration's phantoms, (X, Y, Z)."""
Blend = Literal["constant", "gaussian"]

CORE, WHOLE, ENHANCING = range(3)
LAYERS = tuple(
    Layer(channel, part, PARTS[part])
    for channel, part in ((WHOLE, "oedema"), (CORE, "necrosis"), (ENHANCING, "enhancing"))
)
"""The inner region is painted over the outer one."""


@dataclass(frozen=True)
class Brats18(Task):
    """The task of Li et al. 2019: SegResNet, Dice loss, and Dice of TC, WT and ET."""

    roi_size: Size | None = option(
        None, "training crop in voxels; when not given, 224 224 144 or the volumes' size where they are smaller"
    )
    infer_roi_size: Size = option(PUBLISHED_INFER_ROI, "inference window in voxels")
    windows: Literal["fitted", "padded"] = option(
        "fitted", "shrink the inference window to a smaller volume, or as published pad the volume to it"
    )
    normalize: Literal["volume", "crop"] = option(
        "volume", "normalise intensities over the volume, once, or as published over each training crop, every time"
    )
    foreground_crops: float = option(
        0.0, "share of training crops centred on a tumour voxel; 0 is the published uniform crop"
    )
    crop_to_brain: bool = option(
        False, "train and validate on the box around the brain alone; give a --roi_size that fits it, e.g. 144 176 144"
    )

    KEY_METRIC: ClassVar[str] = "val_dice"
    TARGETS: ClassVar[tuple[str, ...]] = ("TC", "WT", "ET")
    METRICS: ClassVar[tuple[Metric, ...]] = SEGMENTATION_METRICS
    NOTES: ClassVar[tuple[str, ...]] = (SEGMENTATION_NOTE,)
    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "num_rounds": 600,
        "aggregation_epochs": 1,
        "learning_rate": 1e-4,
        "weight_decay": 1e-5,
        "batch_size": 1,
    }
    PRESETS: ClassVar[Mapping[str, Preset]] = {
        "standard": Preset("the published hyper-parameters, which are the defaults"),
        "published": Preset(
            "the published arithmetic too: fp32, intensities normalised over each crop, padded windows",
            {"precision": "fp32", "normalize": "crop", "windows": "padded", "validation": "every"},
        ),
        "demo": Preset(
            "minutes on two cores, on phantoms",
            {
                "num_rounds": 6,
                "aggregation_epochs": 4,
                "learning_rate": 1.5e-3,
                "roi_size": (40, 40, 40),
                "infer_roi_size": (96, 96, 96),
                "crop_to_brain": True,
                "cache_dataset": 1.0,
            },
        ),
    }
    DEMO: ClassVar[str] = f"dataset_brats18/dataset/phantom-mni152-{'x'.join(map(str, DEMO_SIZE))}"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("roi_size", "infer_roi_size"):
            size = getattr(self, name)
            if size is not None:
                check_size(name, tuple(size), self.divisor, self.least_edge)
        expect_share("foreground_crops", self.foreground_crops)
        if self.crop_to_brain and self.normalize == "crop":
            raise InputError("--crop_to_brain needs volumes that were prepared once; drop it or --normalize crop.")

    def networks(self) -> Mapping[str, NetworkClass]:
        return {"segresnet": NetworkClass("BratsSegResNet"), "unet": NetworkClass("BratsUNet")}

    @property
    def divisor(self) -> int:
        """Divisor of every edge of the chosen network's input, in voxels."""
        return int(self._chosen_class.DIVISOR)

    @property
    def least_edge(self) -> int:
        """Least length in voxels of the longest edge of the chosen network's input."""
        return int(self._chosen_class.LEAST_EDGE)

    @property
    def _chosen_class(self) -> Any:
        known = self.networks()
        return known[self.network or next(iter(known))].load()

    def rules(self, label_scheme_name: str | None) -> Rules:
        return brats_rules(label_scheme_name)

    def patient_of(self, case: Case) -> str:
        return patient_of(case)

    def describe_data(self, datalist: Datalist) -> dict[str, Any]:
        crop = self.crop_size(datalist.training)
        self._check_roi(largest(map(volume_size, datalist.training)))
        return {
            "training": len(datalist.training),
            "validation": len(datalist.validation),
            "label_scheme": label_scheme(datalist.label_scheme).name,
            "largest_volume": largest(map(volume_size, datalist.all_cases)),
            "roi_size": crop,
            "crops": f"{' '.join(map(str, crop))} voxels",
        }

    def crop_size(self, cases: Sequence[Case]) -> Size:
        """The training crop in voxels for these cases, not smaller than the network takes."""
        crop = self.roi_size or fit(PUBLISHED_ROI, largest(map(volume_size, cases)), self.divisor)
        return crop if max(crop) >= self.least_edge else (self.least_edge, *crop[1:])

    def train_set(self, datalist: Datalist, caching: Caching) -> Dataset[Any]:
        from fedmed.data.brats import brats_transforms

        crop, enhancing = self.crop_size(datalist.training), label_scheme(datalist.label_scheme).enhancing
        after = brats_transforms.training(self.normalize, crop, self.foreground_crops, enhancing)
        return self._dataset(datalist.training, caching, after)

    def eval_set(self, cases: Sequence[Case], label_scheme_name: str | None, caching: Caching) -> Dataset[Any]:
        from fedmed.data.brats import brats_transforms

        enhancing = label_scheme(label_scheme_name).enhancing
        after = brats_transforms.validation(self.normalize, self.windows == "padded", enhancing)
        return self._dataset(cases, caching, after)

    def _dataset(self, cases: Sequence[Case], caching: Caching, after: Sequence[Any]) -> Dataset[Any]:
        """In memory and on disk lie the compact cases; ``after`` sees their volumes."""
        from monai.data import CacheDataset

        from fedmed.data.brats import brats_transforms

        before = brats_transforms.deterministic(self.normalize, caching, self.crop_to_brain)
        return CacheDataset(
            file_items(cases), [*before, *after], cache_rate=caching.share_in_memory, num_workers=1, progress=False,
            copy_cache=self.normalize == "crop",  # else what follows makes tensors of its own
        )  # fmt: skip

    def new_patient(self) -> mt.Compose:
        """The transform from ``image``, paths in the order of ``MODALITIES``, to the ``image`` of :meth:`eval_set`.

        No label is needed, and ``monai.transforms.Invertd`` leads what lies on that image's grid back to the files'.
        """
        import monai.transforms as mt

        from fedmed.data.brats import brats_transforms

        return mt.Compose(brats_transforms.new_patient(self.normalize, self.windows == "padded", self.crop_to_brain))

    def loss(self) -> nn.Module:
        from monai.losses import DiceLoss

        return DiceLoss(smooth_nr=0, smooth_dr=1e-5, squared_pred=True, sigmoid=True)

    def flipped_labels(self, label: torch.Tensor) -> torch.Tensor:
        """Masks (B, 3, D, H, W) of what is outside of each region."""
        return 1 - label

    def evaluate(self, model: nn.Module, cases: Dataset[Any], device: torch.device) -> list[Row]:
        from fedmed.tasks.scoring.region_dice import challenge_dice, region_dice

        rows: list[Row] = []
        for item in one_by_one(cases):
            image, truth = (each[None] for each in image_and_label(item, device))
            predicted = self.infer(model, image) > 0  # a sigmoid above one half
            rules = {"dice": region_dice, "challenge_dice": challenge_dice}
            values = {name: rule(predicted, truth)[0].tolist() for name, rule in rules.items()}
            rows += rows_of(item["case"], values, self.TARGETS)
        return rows

    def infer(self, model: nn.Module, image_BCDHW: torch.Tensor, blend: Blend = "constant") -> torch.Tensor:
        """Logits (B, 3, D, H, W) by sliding window, with half a window's overlap and equal weights as published.

        Args:
            image_BCDHW: normalised (B, 4, D, H, W).
            blend: how overlapping windows are weighted; ``gaussian`` trusts a window's middle more than its edge.
        """
        x, y, z = image_BCDHW.shape[2:]
        window = fit(self.infer_roi_size, (x, y, z), self.divisor) if self.windows == "fitted" else self.infer_roi_size
        return by_windows(model, image_BCDHW, window, blend)

    def probabilities(self, model: nn.Module, image_BCDHW: torch.Tensor, flips: bool = False) -> torch.Tensor:
        """Probabilities (B, 3, D, H, W) of TC, WT and ET, by Gaussian-weighted windows.

        Args:
            image_BCDHW: normalised (B, 4, D, H, W).
            flips: the mean over the image and its seven mirrored copies.

        Raises:
            InputError: the network gives NaN.
        """

        def predict(image: torch.Tensor) -> torch.Tensor:
            return self.infer(model, image, "gaussian").float().sigmoid()

        return mean_over_flips(predict, image_BCDHW, (2, 3, 4) if flips else ())

    def measure(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> list[Row]:
        return self._measured(model, item, device, flips=False)

    def measure_flipped(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> list[Row]:
        return self._measured(model, item, device, flips=True)

    def _measured(self, model: nn.Module, item: Mapping[str, Any], device: torch.device, *, flips: bool) -> list[Row]:
        from fedmed.tasks.scoring.segmentation_metrics import case_metrics

        image, truth = image_and_label(item, device)
        with naming(item["case"]):
            predicted = self.probabilities(model, image[None], flips)[0] > 0.5
        return rows_of(item["case"], case_metrics(predicted, truth.bool()), self.TARGETS)

    def picture(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> bytes:
        image, truth = image_and_label(item, device)
        predicted = self.probabilities(model, image[None])[0] > 0.5
        flair = image[MODALITIES.index("flair")].float().cpu().numpy()
        return segmentation_picture(flair, truth.bool().cpu().numpy(), predicted.cpu().numpy(), LAYERS, WHOLE)

    def label_map(self) -> dict[str, Any]:
        return {
            "input_channels": MODALITIES,
            "output_channels": {
                "TC": "tumour core: labels 1 and enhancing tumour",
                "WT": "whole tumour: labels 1, 2 and enhancing tumour",
                "ET": "enhancing tumour",
            },
            "threshold": "a sigmoid above 0.5",
            "enhancing_label": {scheme.name: scheme.enhancing for scheme in LABEL_SCHEMES.values()},
        }

    def demo_data(self, folder: Path) -> None:
        from fedmed.data.phantoms.phantom import is_phantom, make_phantom

        if is_phantom(folder):
            return
        try:
            make_phantom(folder, folder / "datalist", size=DEMO_SIZE)
        except (InputError, OSError) as error:
            if not is_phantom(folder):  # unless another run was quicker
                raise InputError(f"No phantoms can be made in {folder} ({in_words(error)}); name a dataset.") from error

    def _check_roi(self, volume: Size) -> None:
        room = round_up(volume, self.divisor)
        if self.roi_size and any(edge > most for edge, most in zip(self.roi_size, room, strict=True)):
            raise InputError(
                f"--roi_size {' '.join(map(str, self.roi_size))} is larger than every training volume (at most "
                f"{'x'.join(map(str, volume))} voxels), so that crops would be padded with zeros; choose at most "
                f"{' '.join(map(str, room))}."
            )
        if max(round_up(volume, self.divisor)) < self.least_edge:
            raise InputError(
                f"The volumes have at most {'x'.join(map(str, volume))} voxels; this network needs {self.least_edge} "
                f"along an edge: choose --network {next(iter(self.networks()))}."
            )


PLUGIN = Brats18
