"""The exposure of one patient's image by the first update: inversions of it, with and without protection."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import torch
from monai.transforms import SpatialPad
from monai.utils import convert_to_tensor
from torch.nn.functional import interpolate

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
    """The image that was attacked, its label, and the attempts.

    Of a segmentation a crop (1, C, D, H, W) and its regions (1, regions, D, H, W), float, or of slices (1, C, H, W) and
    (1, regions, H, W); of a classification an image
    (1, C, H, W) and the number of its class (1,), or its findings (1, K), float.
    """

    image: torch.Tensor
    label: torch.Tensor
    attempts: tuple[Attempt, ...]

    @property
    def size(self) -> str:
        """The attacked image's edges in words."""
        edges = self.image.shape[2:]
        return f"{' x '.join(map(str, edges))} {'voxels' if len(edges) == 3 else 'pixels'}"

    def verdict(self, unprotected: str) -> str:
        """One line an update: what was recovered without protection, on which the meaning of the rest depends."""
        lines = []
        for each in self.attempts:
            if each.protection == unprotected:
                ok = each.correlation >= SUCCESS
                result = "the image is recovered in part" if ok else FAILED
                lines.append(f"{each.observed}: correlation {each.correlation:.2f} without privacy: {result}")
        return "\n".join(lines)


def attacked_image(
    experiment: Experiment, case: Case, label_scheme: str | None, caching: Caching, edge: int
) -> Exposure:
    """A training case as the network sees it, ``edge`` long along each axis, with no attempt yet.

    Of a volume it is a crop, of a volume whose slices are trained on one a crop of the slice with most of the target,
    and of an image with classes the whole, scaled.

    Args:
        case: one of those that are scored.

    Raises:
        InputError: the task is neither a segmentation nor a classification of images.
    """
    item = experiment.task.eval_set([case], label_scheme, caching)[0]
    image, label = (convert_to_tensor(torch.as_tensor(item[name]), track_meta=False) for name in ("image", "label"))
    if (image.ndim, label.ndim) == (4, 4):
        if experiment.task.rules(label_scheme).dimensions == 2:
            image, label = _largest_slice(image, label)
        return _crop(image.float(), label.float(), edge)
    if image.ndim == 3 and label.ndim <= 1:
        whole = interpolate(image[None].float(), (edge, edge), mode="bilinear", antialias=True, align_corners=False)
        return Exposure(whole, label[None].float() if label.ndim else label[None], ())
    raise InputError(
        "The inversion of an update is made for segmentations and for classes of images, and --task "
        f"{experiment.task.name} is neither; leave out --inversion."
    )


def _largest_slice(image: torch.Tensor, label: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The slice (C, H, W) of a volume (C, H, W, S), and of its label, with most of the target; the first of equals."""
    place = int((label != 0).sum(dim=(0, 1, 2)).argmax())
    return image[..., place], label[..., place]


def _crop(image: torch.Tensor, label: torch.Tensor, edge: int) -> Exposure:
    """A crop of a volume (C, X, Y, Z) or slice (C, H, W), padded with zeros where it is smaller.

    It is centred on the tumour: where a crop has no region at all, the Dice loss has no gradient and shows nothing.
    Where the case has none either, it is centred on the brain.
    """
    inside = label.any(dim=0) if label.any() else (image != 0).any(dim=0)
    centre = inside.nonzero().double().mean(dim=0).round().long().tolist()
    pad = SpatialPad((edge,) * len(centre))
    cut = [_cut(middle, edge, whole) for middle, whole in zip(centre, image.shape[1:], strict=True)]
    image, label = (
        convert_to_tensor(pad(each[(slice(None), *cut)]), track_meta=False)[None] for each in (image, label)
    )
    return Exposure(image, label, ())


def _cut(middle: int, edge: int, whole: int) -> slice:
    """An edge of a crop around ``middle``, moved into the volume."""
    start = max(0, min(middle - edge // 2, whole - edge))
    return slice(start, start + edge)


def expose(
    experiment: Experiment, attacked: Exposure, protections: Mapping[str, Protect | None], search: Search
) -> Exposure:
    """Invert the first update on an image: of one plain gradient step, and of one of the run's Adam or AdamW, each
    protected. SGD's first step is the gradient times a number that all know, so there is no second one.

    The network has the run's initial weights, computes in float32 and is in eval mode, so that no dropout mask has to
    be guessed; the learning rate and the weight decay are the run's.

    Args:
        protections: by the name under which they are shown; None is no protection.

    Raises:
        InputError: the image has no gradient.
    """
    model, criterion, training = initial_network(experiment), experiment.task.loss(), experiment.training
    gradient = gradient_of(model, criterion, attacked.image, attacked.label)
    rate, decay, apart = training.learning_rate, training.weight_decay, training.optimizer == "adamw"
    plain = plain_update(model, gradient, rate)
    if l2_norm(plain) == 0:
        raise InputError(
            "The loss has no gradient on this image, as on a crop without tumour; give another --inversion_size."
        )
    ways = [("gradient", plain, lambda sent: from_plain(model, sent, rate), as_is)]
    if training.optimizer != "sgd":
        adam = adam_update(model, gradient, rate, decay, decoupled=apart)
        of_adam = partial(from_adam, model, learning_rate=rate, weight_decay=decay, decoupled=apart)
        ways.append(("adam_update", adam, of_adam, saturated))
    attempts = []
    for observed, update, read, seen in ways:
        for protection, protect in protections.items():
            shown = read(update if protect is None else protect(update))
            found = reconstruct(model, criterion, shown, attacked.label, attacked.image.shape, search, seen)
            attempts.append(_judged(observed, protection, attacked.image, found))
    return attacked._replace(attempts=tuple(attempts))


def _judged(observed: str, protection: str, truth: torch.Tensor, found: torch.Tensor) -> Attempt:
    return Attempt(observed, protection, found, psnr(truth, found), correlation(truth, found))
