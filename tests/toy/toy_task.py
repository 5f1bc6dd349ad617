"""A task of two classes of small 2D pictures, which tests put beside the package's own: see ``toy_task`` in conftest.

The classes differ in texture: stripes that lie flat or stand upright, under noise. Labels are numbers in the lists.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import monai.transforms as mt
import numpy as np
import torch
from monai.data import CacheDataset
from monai.utils import convert_to_tensor
from PIL import Image
from torch import nn
from torch.utils.data import Dataset

from fedmed.core.options import option
from fedmed.data.audit.case_findings import Rules
from fedmed.data.datalist import Case, Datalist, write_datalist
from fedmed.data.picture_pixels import picture_pixels
from fedmed.data.prepared.cache import Caching
from fedmed.data.prepared.file_loader import file_loader
from fedmed.data.targets import class_numbers
from fedmed.tasks.base import Metric, Preset, Row, Task
from fedmed.tasks.scoring.classification_metrics import ACCURACY, AUROC, class_rows
from fedmed.tasks.scoring.classification_picture import classification_picture
from fedmed.tasks.scoring.log_loss import LOG_LOSS
from model import Rebuildable

CLASSES = ("flat", "upright")
EDGE = 16
"""Pixels along each edge of a picture."""


class ToyNetwork(Rebuildable, nn.Module):
    """(B, 1, H, W) -> (B, 2) logits of the classes; 354 parameters by default."""

    DIVISOR = LEAST_EDGE = 4

    def __init__(self, width: int = 4, batch_norm: bool = False) -> None:
        super().__init__()
        norm = nn.BatchNorm2d(width) if batch_norm else nn.Identity()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), norm, nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(width, 2 * width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(2 * width, len(CLASSES)),
        )  # fmt: skip
        self._store({"width": width, "batch_norm": batch_norm})

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(image)
        return logits


@dataclass(frozen=True)
class ToyTask(Task):
    """Stripes that lie flat or stand upright."""

    batch_norm: bool = option(False, "normalise by batches, with running statistics")

    TARGETS: ClassVar[tuple[str, ...]] = CLASSES
    METRICS: ClassVar[tuple[Metric, ...]] = (AUROC, ACCURACY, LOG_LOSS)
    KEY_METRIC: ClassVar[str] = "val_auroc"
    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "num_rounds": 3,
        "learning_rate": 0.01,
        "weight_decay": 0.0,
        "batch_size": 4,
    }
    PRESETS: ClassVar[Mapping[str, Preset]] = {
        "standard": Preset("the toy's defaults"),
        "demo": Preset("seconds", {"num_rounds": 2}),
    }
    DEMO: ClassVar[str] = "toy"

    def networks(self) -> Mapping[str, Callable[[], nn.Module]]:
        return {"tiny": lambda: ToyNetwork(4, self.batch_norm), "small": lambda: ToyNetwork(8, self.batch_norm)}

    def rules(self, label_scheme: str | None) -> Rules:
        return Rules(("picture",), dimensions=2, classes=CLASSES)

    def describe_data(self, datalist: Datalist) -> dict[str, Any]:
        return {"training": len(datalist.training), "validation": len(datalist.validation)}

    def demo_data(self, folder: Path) -> None:
        make_toy(folder)

    def train_set(self, datalist: Datalist, caching: Caching) -> Dataset[Any]:
        return _dataset(datalist.training, caching, [mt.RandFlipd("image", prob=0.5, spatial_axis=0)])

    def eval_set(self, cases: Sequence[Case], label_scheme: str | None, caching: Caching) -> Dataset[Any]:
        return _dataset(cases, caching, [])

    def loss(self) -> nn.Module:
        return nn.CrossEntropyLoss()

    def flipped_labels(self, label: torch.Tensor) -> torch.Tensor:
        return 1 - label

    def train_figures(self, output: torch.Tensor, label: torch.Tensor) -> Mapping[str, torch.Tensor | float]:
        return {"accuracy": (output.argmax(dim=1) == label).float().mean()}

    def evaluate(self, model: nn.Module, cases: Dataset[Any], device: torch.device) -> list[Row]:
        items = (cases[place] for place in range(len(cases)))  # type: ignore[arg-type]
        return [row for item in items for row in self.measure(model, item, device)]

    def measure(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> list[Row]:
        image = convert_to_tensor(item["image"], track_meta=False, device=device)[None]
        scores = model(image).float().softmax(dim=1)[0].tolist()
        return class_rows(item["case"], CLASSES, scores, int(item["label"]))

    @property
    def saliency_layer(self) -> str:
        return "layers.5"

    def new_image(self, path: Path) -> torch.Tensor:
        return torch.from_numpy(picture_pixels(path, channels=1) * 2 - 1)

    def class_probabilities(self, model: nn.Module, image: torch.Tensor) -> torch.Tensor:
        return model(image).float().softmax(dim=1)

    def picture(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> bytes:
        image = convert_to_tensor(item["image"], track_meta=False)
        probabilities = self.class_probabilities(model, image[None].to(device))[0].tolist()
        return classification_picture(image.numpy(), int(item["label"]), probabilities, CLASSES)

    def label_map(self) -> dict[str, Any]:
        return {"output_channels": {name: f"{name} stripes" for name in CLASSES}}


PLUGIN = ToyTask


def make_toy(
    folder: Path, sites: int = 2, cases: int = 8, validation: int = 6, noise: float = 90.0, testing: int = 0
) -> None:
    """Write pictures, and lists ``datalist/site-<n>.json`` whose validation cases are the same at every site.

    Args:
        cases: training cases at each site.
        validation: cases that all sites share; half of each class, as of the training cases.
        testing: test cases of each site's own.
        noise: standard deviation of the pixels' noise, in grey levels; the stripes differ by 60.
    """
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    entries = [_entry(folder, number, noise) for number in range(validation + sites * cases)]
    for site in range(sites):
        first = validation + site * cases
        write_datalist(
            folder / "datalist" / f"site-{site + 1}.json", entries[first : first + cases], entries[:validation]
        )
    write_datalist(folder / "datalist" / "site-All.json", entries[validation:], entries[:validation])
    if testing:
        first = len(entries)
        held_out = [_entry(folder, first + number, noise) for number in range(sites * testing)]
        for site in range(sites):
            add_testing(folder / "datalist" / f"site-{site + 1}.json", held_out[site * testing :][:testing])
        add_testing(folder / "datalist" / "site-All.json", held_out)


def write_folds(data: Path, folds: int = 2) -> Path:
    """Write ``folds/fold-<n>`` of the pictures that :func:`make_toy` left in ``data``; the folder of the folds."""
    place = data / "folds"
    for site in ("site-1", "site-2", "site-All"):
        lists: dict[str, list[dict[str, Any]]] = json.loads((data / "datalist" / f"{site}.json").read_text())
        for number in range(folds):
            tested = lists["training"][number::folds]
            training = [case for case in lists["training"] if case not in tested]
            path = place / f"fold-{number + 1}" / f"{site}.json"
            write_datalist(path, training, lists["validation"], testing=tested)
    return place


def add_testing(path: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """Put test cases into a list that has none."""
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, "testing": list(entries)}), encoding="utf-8")


def _entry(folder: Path, number: int, noise: float) -> dict[str, Any]:
    label = number % len(CLASSES)
    generator = np.random.default_rng(number)
    stripes = np.where(np.arange(EDGE) // 2 % 2 == 0, 90.0, 150.0)
    picture = np.broadcast_to(stripes[:, None] if label == 0 else stripes, (EDGE, EDGE))
    pixels = np.clip(picture + generator.normal(0, noise, picture.shape), 0, 255).astype(np.uint8)
    name = f"toy-{number:03d}"
    Image.fromarray(pixels).save(folder / "pictures" / f"{name}.png")
    return {"image": f"pictures/{name}.png", "label": label, "patient": f"patient-{number:03d}"}


def _dataset(cases: Sequence[Case], caching: Caching, after: Sequence[Any]) -> Dataset[Any]:
    items = [{"image": str(c.images[0]), "label": class_numbers(c.target, CLASSES)[0], "case": c.name} for c in cases]
    before = [
        file_loader("image", "PILReader", reverse_indexing=False),
        mt.EnsureChannelFirstd("image"),
        mt.ScaleIntensityRanged("image", a_min=0, a_max=255, b_min=-1, b_max=1),
    ]
    transforms = mt.Compose([*before, *after])
    return CacheDataset(items, transforms, cache_rate=caching.share_in_memory, num_workers=1, progress=False)
