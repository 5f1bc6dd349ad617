"""The classes of a new 2D image, by the model of a task that classifies images."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.core.errors import InputError
from fedmed.data.picture_file import read_picture
from fedmed.tasks.base import ImageClassifier, KnownViews


class ImagePrediction(NamedTuple):
    """The probabilities (K,) of an image's classes, in the order of the task's targets."""

    path: Path
    sha256: str  # of the file
    probabilities: tuple[float, ...]
    oddities: tuple[str, ...] = ()  # what seems wrong with the image, in the words that come after the file's name

    @property
    def decided(self) -> int:
        """The number of the class with the highest probability."""
        return int(np.argmax(self.probabilities))

    @property
    def confidence(self) -> float:
        """The highest probability."""
        return max(self.probabilities)

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each of the oddities."""
        return tuple(f"{self.path} {oddity}." for oddity in self.oddities)


def image_classifier(model: TrainedModel) -> ImageClassifier:
    """The model's task, which must classify images.

    Raises:
        InputError: it is another one.
    """
    if not isinstance(model.task, ImageClassifier):
        raise InputError(f"{model.label} was trained for the task {model.task.name}, which classifies no images.")
    return model.task


def check_images(paths: Sequence[Path]) -> None:
    """Read every image, so that a mistake is told before the first one is classified.

    Raises:
        InputError: one cannot be read, or shows nothing as all its pixels are the same.
    """
    for path in paths:
        if path.is_dir():
            raise InputError(f"{path} is a folder; expected images: name its files, such as {path}/*.png.")
        pixels = read_picture(path)
        if pixels.min() == pixels.max():
            raise InputError(f"{path} is one grey level throughout; expected an image: export it again.")


def classified(model: TrainedModel, path: Path) -> ImagePrediction:
    """The class probabilities of one image, which the network sees alone, so that no other image changes them.

    Raises:
        InputError: the image cannot be read, or the prediction holds NaN.
    """
    task = image_classifier(model)
    image = task.new_image(path)[None].to(model.device)
    with model.inference():
        found: torch.Tensor = task.class_probabilities(model.network, image)[0]
    probabilities = tuple(found.float().cpu().tolist())
    if not all(map(math.isfinite, probabilities)):
        raise InputError(f"{path}: the prediction holds NaN; expected finite numbers: look at the image's values.")
    oddities = task.oddities(path) if isinstance(task, KnownViews) else ()
    return ImagePrediction(path, hashlib.sha256(path.read_bytes()).hexdigest(), probabilities, oddities)
