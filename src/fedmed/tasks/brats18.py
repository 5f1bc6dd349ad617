"""Brain tumour segmentation on BraTS: tumour core, whole tumour and enhancing tumour from four MR modalities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Literal

import monai.transforms as mt
import torch
from monai.data import CacheDataset
from monai.inferers import sliding_window_inference
from monai.losses import DiceLoss
from monai.utils import convert_to_tensor
from torch import nn
from torch.utils.data import Dataset

from fedmed.core.errors import InputError
from fedmed.core.options import expect, expect_share, option
from fedmed.core.site_scores import reported
from fedmed.data.audit.case_findings import Rules
from fedmed.data.brats import brats_transforms
from fedmed.data.brats.brats_layout import LABEL_SCHEMES, MODALITIES, label_scheme
from fedmed.data.brats.brats_rules import brats_rules, patient_of
from fedmed.data.brats.brats_transforms import BOTH, PADDING, Normalize
from fedmed.data.datalist import Case, Datalist
from fedmed.data.prepared.cache import Caching
from fedmed.data.volumes import volume_size
from fedmed.data.windows import Size, fit, largest, round_up
from fedmed.tasks.base import Metric, Row, Task
from fedmed.tasks.scoring.region_dice import challenge_dice, region_dice
from fedmed.tasks.scoring.segmentation_metrics import SEGMENTATION_METRICS, case_metrics
from fedmed.tasks.scoring.segmentation_picture import segmentation_picture

PUBLISHED_ROI: Size = (224, 224, 144)
PUBLISHED_INFER_ROI: Size = (240, 240, 160)
Blend = Literal["constant", "gaussian"]
DIVISOR = 8  # SegResNet halves the grid three times


@dataclass(frozen=True)
class Brats18(Task):
    """Li et al. 2019's task: SegResNet, Dice loss, and Dice of TC, WT and ET."""

    roi_size: Size | None = option(
        None, "training crop in voxels; when not given, 224 224 144 or the volumes' size where they are smaller"
    )
    infer_roi_size: Size = option(PUBLISHED_INFER_ROI, "inference window in voxels")
    windows: Literal["fitted", "padded"] = option(
        "fitted", "shrink the inference window to a smaller volume, or as published pad the volume to it"
    )
    normalize: Normalize = option(
        "volume", "normalise intensities over the volume, once, or as published over each training crop, every time"
    )
    foreground_crops: float = option(
        0.0, "share of training crops centred on a tumour voxel; 0 is the published uniform crop"
    )
    crop_to_brain: bool = option(
        False, "train and validate on the box around the brain alone; give a --roi_size that fits it, e.g. 144 176 144"
    )

    KEY_METRIC: ClassVar[str] = "val_dice"
    REGIONS: ClassVar[tuple[str, ...]] = ("TC", "WT", "ET")
    METRICS: ClassVar[tuple[Metric, ...]] = SEGMENTATION_METRICS

    def __post_init__(self) -> None:
        for name in ("roi_size", "infer_roi_size"):
            size = getattr(self, name)
            if size is not None:
                ok = len(size) == 3 and all(edge > 0 and edge % DIVISOR == 0 for edge in size)
                expect(ok, name, tuple(size), f"three edges in voxels, each above 0 and divisible by {DIVISOR}")
        expect_share("foreground_crops", self.foreground_crops)
        if self.crop_to_brain and self.normalize == "crop":
            raise InputError("--crop_to_brain needs volumes that were prepared once; drop it or --normalize crop.")

    def build_model(self) -> nn.Module:
        from model import BratsSegResNet  # at a site model.py lies in the job's folder, beside client.py

        return BratsSegResNet()

    def rules(self, label_scheme_name: str | None) -> Rules:
        return brats_rules(label_scheme_name)

    def patient_of(self, case: Case) -> str:
        return patient_of(case)

    def describe_data(self, datalist: Datalist) -> dict[str, Any]:
        volume = largest(map(volume_size, datalist.all_cases))
        self._check_roi(volume)
        return {
            "training": len(datalist.training),
            "validation": len(datalist.validation),
            "label_scheme": label_scheme(datalist.label_scheme).name,
            "largest_volume": volume,
            "roi_size": self.crop_size(datalist.training),
        }

    def crop_size(self, cases: Sequence[Case]) -> Size:
        """The training crop in voxels for these cases."""
        return self.roi_size or fit(PUBLISHED_ROI, largest(map(volume_size, cases)), DIVISOR)

    def train_set(self, datalist: Datalist, caching: Caching) -> Dataset[Any]:
        crop, enhancing = self.crop_size(datalist.training), label_scheme(datalist.label_scheme).enhancing
        after = brats_transforms.training(self.normalize, crop, self.foreground_crops, enhancing)
        return self._dataset(datalist.training, caching, after)

    def eval_set(self, cases: Sequence[Case], label_scheme_name: str | None, caching: Caching) -> Dataset[Any]:
        enhancing = label_scheme(label_scheme_name).enhancing
        after = brats_transforms.validation(self.normalize, self.windows == "padded", enhancing)
        return self._dataset(cases, caching, after)

    def _dataset(self, cases: Sequence[Case], caching: Caching, after: Sequence[Any]) -> Dataset[Any]:
        """In memory and on disk lie the compact cases; ``after`` sees their volumes."""
        before = brats_transforms.deterministic(self.normalize, caching, self.crop_to_brain)
        return CacheDataset(
            _items(cases), [*before, *after], cache_rate=caching.share_in_memory, num_workers=1, progress=False,
            copy_cache=self.normalize == "crop",  # else what follows makes tensors of its own
        )  # fmt: skip

    def new_patient(self) -> mt.Compose:
        """From the item ``image``, paths in the order of ``MODALITIES``, to the ``image`` of :meth:`eval_set`.

        No label is needed, and ``monai.transforms.Invertd`` leads what lies on that image's grid back to the files'.
        """
        return mt.Compose(brats_transforms.new_patient(self.normalize, self.windows == "padded", self.crop_to_brain))

    def loss(self) -> nn.Module:
        return DiceLoss(smooth_nr=0, smooth_dr=1e-5, squared_pred=True, sigmoid=True)

    def evaluate(self, model: nn.Module, cases: Dataset[Any], device: torch.device) -> list[Row]:
        rows: list[Row] = []
        for item in iter_items(cases):
            image, truth = (convert_to_tensor(item[k], track_meta=False, device=device)[None] for k in BOTH)
            predicted = self.infer(model, image) > 0  # a sigmoid above one half
            for metric, rule in (("dice", region_dice), ("challenge_dice", challenge_dice)):
                values = rule(predicted, truth)[0].tolist()
                rows += [Row(item["case"], r, metric, v) for r, v in zip(self.REGIONS, values, strict=True)]
        return rows

    def infer(self, model: nn.Module, image_BCDHW: torch.Tensor, blend: Blend = "constant") -> torch.Tensor:
        """Logits (B, 3, D, H, W) by sliding window, with half a window's overlap and equal weights as published.

        Args:
            image_BCDHW: normalised (B, 4, D, H, W).
            blend: how overlapping windows are weighted; ``gaussian`` trusts a window's middle more than its edge.
        """
        x, y, z = image_BCDHW.shape[2:]
        window = fit(self.infer_roi_size, (x, y, z), DIVISOR) if self.windows == "fitted" else self.infer_roi_size
        logits = sliding_window_inference(
            image_BCDHW, window, sw_batch_size=1, predictor=model, overlap=0.5, mode=blend
        )
        assert isinstance(logits, torch.Tensor)
        return logits

    def probabilities(self, model: nn.Module, image_BCDHW: torch.Tensor, flips: bool = False) -> torch.Tensor:
        """Probabilities (B, 3, D, H, W) of TC, WT and ET, by Gaussian-weighted windows.

        Args:
            image_BCDHW: normalised (B, 4, D, H, W).
            flips: the mean over the image and its seven mirrored copies.

        Raises:
            InputError: the network gives NaN.
        """
        axes = [2, 3, 4]
        mirrored = [[a for a, on in zip(axes, bits, strict=True) if on] for bits in product((0, 1), repeat=3)]
        total = torch.zeros(())
        for flipped in mirrored if flips else [[]]:
            logits = self.infer(model, image_BCDHW.flip(flipped), "gaussian").float()
            total = total.to(logits.device) + logits.flip(flipped).sigmoid()
        if not torch.isfinite(total).all():
            raise InputError("The network's prediction holds NaN; expected finite numbers: look at the image's values.")
        return total / (len(mirrored) if flips else 1)

    def measure(self, model: nn.Module, item: Mapping[str, Any], device: torch.device, flips: bool) -> list[Row]:
        image, truth = (convert_to_tensor(item[k], track_meta=False, device=device) for k in BOTH)
        try:
            predicted = self.probabilities(model, image[None], flips)[0] > 0.5
        except InputError as error:
            raise InputError(f"{item['case']}: {error}") from error
        values = case_metrics(predicted, truth.bool())
        return [
            Row(item["case"], region, metric, value)
            for metric, of_regions in values.items()
            for region, value in zip(self.REGIONS, of_regions, strict=True)
        ]

    def picture(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> bytes:
        image, truth = (convert_to_tensor(item[k], track_meta=False, device=device) for k in BOTH)
        predicted = self.probabilities(model, image[None])[0] > 0.5
        flair = image[MODALITIES.index("flair")].float().cpu().numpy()
        return segmentation_picture(flair, truth.bool().cpu().numpy(), predicted.cpu().numpy())

    def metrics(self, rows: Sequence[Row]) -> dict[str, float]:
        """``val_dice`` is the published figure: the mean over all cases and regions that are not empty."""
        values = {"val_dice": _values(rows, "dice")}
        values |= {f"val_dice_{region.lower()}": _values(rows, "dice", region) for region in self.REGIONS}
        values["val_challenge_dice"] = _values(rows, "challenge_dice")
        return reported(values)

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

    def _check_roi(self, volume: Size) -> None:
        room = round_up(volume, PADDING)
        if self.roi_size and any(edge > most for edge, most in zip(self.roi_size, room, strict=True)):
            raise InputError(
                f"--roi_size {' '.join(map(str, self.roi_size))} is larger than every volume (at most "
                f"{'x'.join(map(str, volume))} voxels, padded {'x'.join(map(str, room))}); choose a smaller crop."
            )


PLUGIN = Brats18


def iter_items(cases: Dataset[Any]) -> Any:
    """The items one after another, so that memory holds one case."""
    return (cases[i] for i in range(len(cases)))  # type: ignore[arg-type]


def _items(cases: Sequence[Case]) -> list[dict[str, Any]]:
    return [{"image": [str(p) for p in c.images], "label": str(c.target), "case": c.name} for c in cases]


def _values(rows: Sequence[Row], metric: str, region: str | None = None) -> list[float]:
    return [row.value for row in rows if row.metric == metric and region in (None, row.region)]
