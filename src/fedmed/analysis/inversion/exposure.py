"""The exposure of one patient's image by the first update: inversions of it, with and without protection."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from monai.transforms import SpatialPad
from monai.utils import convert_to_tensor

from fedmed.analysis.evaluation.trained_model import initial_network
from fedmed.analysis.inversion.gradient_inversion import (
    Search,
    adam_update,
    as_is,
    correlation,
    from_adam,
    from_plain,
    gradient_of,
    plain_update,
    psnr,
    reconstruct,
    saturated,
)
from fedmed.analysis.inversion.protection import Protect
from fedmed.core.errors import InputError
from fedmed.data.datalist import Case
from fedmed.data.prepared.cache import Caching
from fedmed.data.windows import Size
from fedmed.experiment import Experiment
from fedmed.privacy.update_statistics import l2_norm

SUCCESS = 0.5
"""The correlation with the truth from which on an image counts as recovered."""

FAILED = "the attack failed even without privacy, which proves nothing about protection"


class Attempt(NamedTuple):
    """One inversion: the observed update, the protection before it, and the image found."""

    observed: str
    protection: str
    image: torch.Tensor
    psnr: float
    correlation: float


class Exposure(NamedTuple):
    """The crop (1, C, D, H, W) that was attacked, its label (1, regions, D, H, W), and the attempts."""

    image: torch.Tensor
    label: torch.Tensor
    attempts: tuple[Attempt, ...]

    def verdict(self, unprotected: str) -> str:
        """One line an update: what was recovered without protection, on which the meaning of the rest depends."""
        lines = []
        for each in self.attempts:
            if each.protection == unprotected:
                ok = each.correlation >= SUCCESS
                result = "the image is recovered in part" if ok else FAILED
                lines.append(f"{each.observed}: correlation {each.correlation:.2f} without privacy: {result}")
        return "\n".join(lines)


def crop_of(experiment: Experiment, case: Case, label_scheme: str | None, caching: Caching, size: Size) -> Exposure:
    """A crop of a training case as the network sees it, with no attempt yet.

    It is centred on the tumour: where a crop has no region at all, the Dice loss has no gradient and shows nothing.
    Where the case has none either, it is centred on the brain. Volumes smaller than the crop are padded with zeros.

    Raises:
        InputError: the task is no segmentation of volumes.
    """
    item = experiment.task.eval_set([case], label_scheme, caching)[0]
    if [torch.as_tensor(item[name]).ndim for name in ("image", "label")] != [4, 4]:
        raise InputError(
            f"The inversion of an update is made for the segmentation of volumes, and --task {experiment.task.name} is "
            "another one; leave out --inversion."
        )
    image, label = (convert_to_tensor(item[name], track_meta=False).float() for name in ("image", "label"))
    inside = label.any(dim=0) if label.any() else (image != 0).any(dim=0)
    centre = inside.nonzero().double().mean(dim=0).round().long().tolist()
    pad = SpatialPad(size)
    cut = [_cut(middle, edge, whole) for middle, edge, whole in zip(centre, size, image.shape[1:], strict=True)]
    image, label = (
        convert_to_tensor(pad(each[(slice(None), *cut)]), track_meta=False)[None] for each in (image, label)
    )
    return Exposure(image, label, ())


def _cut(middle: int, edge: int, whole: int) -> slice:
    """An edge of a crop around ``middle``, moved into the volume."""
    start = max(0, min(middle - edge // 2, whole - edge))
    return slice(start, start + edge)


def expose(
    experiment: Experiment, crop: Exposure, protections: Mapping[str, Protect | None], search: Search
) -> Exposure:
    """Invert the first update on a crop: of one plain gradient step and of one step of the run's Adam, each protected.

    The network has the run's initial weights, computes in float32 and is in eval mode, so that no dropout mask has to
    be guessed; the learning rate and the weight decay are the run's.

    Args:
        protections: by the name under which they are shown; None is no protection.

    Raises:
        InputError: the crop has no gradient.
    """
    model, criterion, training = initial_network(experiment), experiment.task.loss(), experiment.training
    gradient = gradient_of(model, criterion, crop.image, crop.label)
    rate, decay = training.learning_rate, training.weight_decay
    plain, adam = plain_update(model, gradient, rate), adam_update(model, gradient, rate, decay)
    if l2_norm(plain) == 0:
        raise InputError("The crop holds no tumour, so the loss has no gradient there; give a larger --inversion_size.")
    ways = (
        ("gradient", plain, lambda sent: from_plain(model, sent, rate), as_is),
        ("adam_update", adam, lambda sent: from_adam(model, sent, rate, decay), saturated),
    )
    attempts = []
    for observed, update, read, seen in ways:
        for protection, protect in protections.items():
            shown = read(update if protect is None else protect(update))
            found = reconstruct(model, criterion, shown, crop.label, crop.image.shape[1], search, seen)
            attempts.append(_judged(observed, protection, crop.image, found))
    return crop._replace(attempts=tuple(attempts))


def _judged(observed: str, protection: str, truth: torch.Tensor, found: torch.Tensor) -> Attempt:
    return Attempt(observed, protection, found, psnr(truth, found), correlation(truth, found))
