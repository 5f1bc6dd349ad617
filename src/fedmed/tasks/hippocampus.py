"""Segmentation of the hippocampus's anterior and posterior part in one MR image: a federation of small volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fedmed.core.errors import InputError
from fedmed.core.options import option
from fedmed.data.audit.case_findings import Rules
from fedmed.data.datalist import Case, Datalist
from fedmed.data.hippocampus.hippocampus_layout import ANTERIOR, HIPPOCAMPUS_RULES, MR, POSTERIOR
from fedmed.data.prepared.cache import Caching
from fedmed.data.volumes import volume_size
from fedmed.data.windows import Size, largest
from fedmed.tasks.base import Metric, NetworkClass, Preset, Row, Task, expect_no_scheme
from fedmed.tasks.scoring.metric_catalogue import ORGAN_METRICS
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

WINDOW: Size = (40, 56, 40)
"""As long as all but the largest edges of the Decathlon's volumes, 42 x 58 x 45 voxels at most."""

LAYERS = (Layer(0, "anterior", "#e69f00"), Layer(1, "posterior", "#0072b2"))
"""Colours of Okabe and Ito, which the colour-blind tell apart."""

WHOLE = 2
"""The channel that pictures add: both parts."""


@dataclass(frozen=True)
class Hippocampus(Task):
    """The hippocampus of the Medical Segmentation Decathlon (Antonelli et al. 2022, doi 10.1038/s41467-022-30695-9)."""

    window_size: Size = option(
        WINDOW, "crop for training and window for inference, in voxels; smaller volumes are padded"
    )

    KEY_METRIC: ClassVar[str] = "val_dice"
    TARGETS: ClassVar[tuple[str, ...]] = ("anterior", "posterior")
    METRICS: ClassVar[tuple[Metric, ...]] = ORGAN_METRICS
    NOTES: ClassVar[tuple[str, ...]] = (
        "Dice, HD95 and surface Dice have no value where the truth is empty; a part that is missed counts as 373 mm.",
    )
    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "num_rounds": 30,
        "aggregation_epochs": 1,
        "learning_rate": 4e-3,
        "weight_decay": 1e-5,
        "batch_size": 2,
        "cache_dataset": 1.0,
    }
    PRESETS: ClassVar[Mapping[str, Preset]] = {
        "standard": Preset("minutes on two cores"),
        "demo": Preset(
            "a minute on two cores, on phantoms",
            {"num_rounds": 8, "aggregation_epochs": 6, "window_size": (32, 48, 32)},
        ),
    }
    DEMO: ClassVar[str] = "dataset_hippocampus/dataset/phantom"

    def __post_init__(self) -> None:
        super().__post_init__()
        known = self.networks()
        network = known[self.network or next(iter(known))].load()
        check_size("window_size", tuple(self.window_size), network.DIVISOR, network.LEAST_EDGE)

    def networks(self) -> Mapping[str, NetworkClass]:
        return {
            "unet": NetworkClass("HippocampusUNet"),
            "segresnet": NetworkClass("HippocampusSegResNet"),
        }  # the U-Net takes half as long a step

    def rules(self, label_scheme: str | None) -> Rules:
        expect_no_scheme(label_scheme)
        return HIPPOCAMPUS_RULES

    def describe_data(self, datalist: Datalist) -> dict[str, Any]:
        sizes = [*map(volume_size, datalist.all_cases)]
        self._check_window(largest(map(volume_size, datalist.training)))
        cut = sum(any(edge > most for edge, most in zip(size, self.window_size, strict=True)) for size in sizes)
        crop = f"{' '.join(map(str, self.window_size))} voxels"
        return {
            **super().describe_data(datalist),
            "largest_volume": largest(sizes),
            "larger_than_window": cut,
            "crops": f"{crop}, smaller than {cut} of the volumes" if cut else crop,
        }

    def _check_window(self, volume: Size) -> None:
        if any(edge > 2 * most for edge, most in zip(self.window_size, volume, strict=True)):
            raise InputError(
                f"--window_size {' '.join(map(str, self.window_size))} is more than twice as long as every training "
                f"volume along an edge (at most {'x'.join(map(str, volume))} voxels), so that most of it would be "
                "padding; choose a smaller window."
            )

    def train_set(self, datalist: Datalist, caching: Caching) -> Dataset[Any]:
        from fedmed.data.hippocampus import hippocampus_transforms

        return _dataset(datalist.training, caching, hippocampus_transforms.training(self.window_size))

    def eval_set(self, cases: Sequence[Case], label_scheme: str | None, caching: Caching) -> Dataset[Any]:
        return _dataset(cases, caching, [])

    def new_patient(self) -> mt.Compose:
        """The transform from ``image``, one path, to the ``image`` of :meth:`eval_set`; can be inverted."""
        import monai.transforms as mt

        from fedmed.data.hippocampus import hippocampus_transforms

        return mt.Compose(hippocampus_transforms.new_patient())

    def loss(self) -> nn.Module:
        from monai.losses import DiceCELoss

        return DiceCELoss(softmax=True, to_onehot_y=True)

    def flipped_labels(self, label: torch.Tensor) -> torch.Tensor:
        """The anterior part labelled as the posterior one, and the reverse; the background stays."""
        return label.where(label == 0, len(self.TARGETS) + 1 - label)

    def evaluate(self, model: nn.Module, cases: Dataset[Any], device: torch.device) -> list[Row]:
        from fedmed.tasks.scoring.region_dice import region_dice

        rows: list[Row] = []
        for item in one_by_one(cases):
            image, label = image_and_label(item, device)
            predicted = masks_of(self.infer(model, image[None]).argmax(dim=1))
            rows += rows_of(item["case"], {"dice": region_dice(predicted, masks_of(label))[0].tolist()}, self.TARGETS)
        return rows

    def infer(
        self, model: nn.Module, image_BCDHW: torch.Tensor, blend: Literal["constant", "gaussian"] = "gaussian"
    ) -> torch.Tensor:
        """Logits (B, 3, D, H, W) of background, anterior and posterior, by one window or for larger images several.

        Args:
            image_BCDHW: normalised (B, 1, D, H, W).
            blend: how overlapping windows are weighted.
        """
        return by_windows(model, image_BCDHW, self.window_size, blend)

    def probabilities(self, model: nn.Module, image_BCDHW: torch.Tensor, flips: bool = False) -> torch.Tensor:
        """Probabilities (B, 2, D, H, W) of the anterior and the posterior part; what lacks to 1 is the background's.

        Args:
            image_BCDHW: normalised (B, 1, D, H, W).
            flips: the mean over the image and its copy of the other side.

        Raises:
            InputError: the network gives NaN.
        """

        from fedmed.data.hippocampus.hippocampus_transforms import LEFT_TO_RIGHT

        def predict(image: torch.Tensor) -> torch.Tensor:
            return self.infer(model, image).float().softmax(dim=1)[:, 1:]

        axes = (2 + LEFT_TO_RIGHT,) if flips else ()
        return mean_over_flips(predict, image_BCDHW, axes)

    def measure(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> list[Row]:
        return self._measured(model, item, device, flips=False)

    def measure_flipped(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> list[Row]:
        return self._measured(model, item, device, flips=True)

    def _measured(self, model: nn.Module, item: Mapping[str, Any], device: torch.device, *, flips: bool) -> list[Row]:
        from fedmed.tasks.scoring.segmentation_metrics import organ_metrics

        image, label = image_and_label(item, device)
        with naming(item["case"]):
            found = likeliest(self.probabilities(model, image[None], flips))
        return rows_of(item["case"], organ_metrics(masks_of(found)[0], masks_of(label)[0]), self.TARGETS)

    def picture(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> bytes:
        image, label = image_and_label(item, device)
        found = likeliest(self.probabilities(model, image[None]))
        truth, predicted = (masks_of(each)[0] for each in (label, found))
        return segmentation_picture(image[0].float().cpu().numpy(), _shown(truth), _shown(predicted), LAYERS, WHOLE)

    def label_map(self) -> dict[str, Any]:
        return {
            "input_channels": [MR],
            "output_channels": {"background": 0, "anterior": ANTERIOR, "posterior": POSTERIOR},
            "prediction": "the channel with the largest softmax",
        }

    def demo_data(self, folder: Path) -> None:
        from fedmed.data.phantoms.hippocampus_phantom import demo_hippocampi

        demo_hippocampi(folder)


PLUGIN = Hippocampus


def masks_of(labels: torch.Tensor) -> torch.Tensor:
    """Bool (B, 2, D, H, W) of the anterior and the posterior part, from label values (B, D, H, W)."""
    import torch

    return torch.stack([labels == ANTERIOR, labels == POSTERIOR], dim=1)


def likeliest(probabilities: torch.Tensor) -> torch.Tensor:
    """Label values (B, D, H, W) from the probabilities (B, 2, D, H, W) of all but the background."""
    import torch

    background = 1 - probabilities.sum(dim=1, keepdim=True)
    return torch.cat([background, probabilities], dim=1).argmax(dim=1)


def _shown(parts: torch.Tensor) -> NDArray[np.bool_]:
    """The parts (2, X, Y, Z), and the whole as a third channel."""
    import torch

    return torch.cat([parts, parts.any(dim=0, keepdim=True)]).cpu().numpy()


def _dataset(cases: Sequence[Case], caching: Caching, after: Sequence[Any]) -> Dataset[Any]:
    """In memory and on disk lie the compact cases; ``after`` sees their volumes."""
    from monai.data import CacheDataset

    from fedmed.data.hippocampus import hippocampus_transforms

    transforms = [*hippocampus_transforms.deterministic(caching), *after]
    share = caching.share_in_memory
    return CacheDataset(
        file_items(cases), transforms, cache_rate=share, num_workers=1, progress=False, copy_cache=False
    )
