"""The facts of a patient's scan that the audit and the split need, measured in one reading of its slices."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from fedmed.core.errors import InputError, counted, refuse
from fedmed.data.audit.measured_files import READERS
from fedmed.data.image_file import content_of, decoded_picture
from fedmed.data.lgg.head_volume import CHANNELS, FLAIR, TUMOUR, head_of
from fedmed.data.lgg.lgg_layout import LggPatient

MOST_VALUES = 5
"""Values that a sentence shows."""

SMALLEST = 32
"""Pixels of an edge below which no anatomy is to be seen."""


@dataclass(frozen=True)
class ScanFacts:
    """A scan in numbers.

    Attributes:
        slices: number of them.
        tumour_slices: those with tumour.
        tumour_pixels: of all masks.
        tumour_percent: the tumour's pixels as a share of the head's, which slices of any thickness leave as it is.
        size: width and height in pixels.
        copied: the channels that are FLAIR's copies, in place of sequences that are missing.
    """

    slices: int
    tumour_slices: int
    tumour_pixels: int
    tumour_percent: float
    size: tuple[int, int]
    copied: tuple[str, ...]


def measured_scans(patients: Sequence[LggPatient]) -> dict[str, ScanFacts]:
    """The facts of every patient's scan by the folder's name.

    Raises:
        Problems: files cannot be used, or no mask of any patient shows a tumour; a sentence for each patient and kind.
    """
    with ThreadPoolExecutor(max_workers=READERS) as pool:
        answers = dict(zip((patient.name for patient in patients), pool.map(_measured, patients), strict=True))
    refuse([sentence for answer in answers.values() if not isinstance(answer, ScanFacts) for sentence in answer])
    facts = {name: answer for name, answer in answers.items() if isinstance(answer, ScanFacts)}
    if not any(each.tumour_pixels for each in facts.values()):
        raise InputError(
            f"All masks of the {counted(len(facts), 'patient')} are empty; expected tumours of value {TUMOUR} in some "
            "of them: copy the masks again."
        )
    return facts


def _measured(patient: LggPatient) -> ScanFacts | list[str]:
    """The facts of a scan, or a sentence on each kind of mistake in its files."""
    try:
        images = [_picture(each.image) for each in patient.slices]
        masks = [_picture(each.mask) for each in patient.slices]
    except InputError as error:
        return [str(error)]
    mistakes = [*_wrong_modes(patient, images), *_wrong_sizes(patient, images, masks), *_wrong_values(patient, masks)]
    if mistakes:
        return mistakes
    volume = np.stack([np.asarray(image) for image in images])
    if not volume[..., FLAIR].any():
        return [f"The FLAIR channel of {patient.folder} is 0 everywhere; expected a head in it: export it again."]
    tumour = np.stack([np.asarray(mask) for mask in masks]) == TUMOUR
    return ScanFacts(
        slices=len(images),
        tumour_slices=int(tumour.any(axis=(1, 2)).sum()),
        tumour_pixels=int(tumour.sum()),
        tumour_percent=100 * float(tumour.sum() / head_of(volume[..., FLAIR]).sum()),
        size=images[0].size,
        copied=_copied(volume),
    )


def _picture(path: Path) -> PillowImage.Image:
    return decoded_picture(path, content_of(path))


def _wrong_modes(patient: LggPatient, images: Sequence[PillowImage.Image]) -> list[str]:
    other = [(one.image, image) for one, image in zip(patient.slices, images, strict=True) if image.mode != "RGB"]
    if not other:
        return []
    path, image = other[0]
    channels = "one channel" if len(image.getbands()) == 1 else f"{len(image.getbands())} channels"
    return [
        f"{counted(len(other), 'image')} of {patient.name}, such as {path}, with {channels} (mode {image.mode}); "
        f"expected three of 8 bits, {', '.join(CHANNELS)}: put FLAIR in the place of one that is missing."
    ]


def _wrong_sizes(
    patient: LggPatient, images: Sequence[PillowImage.Image], masks: Sequence[PillowImage.Image]
) -> list[str]:
    first = images[0].size
    if min(first) < SMALLEST:
        found = f"{patient.slices[0].image} is {_size(first)} pixels"
        return [f"{found}; expected at least {SMALLEST} along each edge: export it again."]
    files = [path for each in patient.slices for path in (each.image, each.mask)]
    sizes = [picture.size for pair in zip(images, masks, strict=True) for picture in pair]
    other = [(path, size) for path, size in zip(files, sizes, strict=True) if size != first]
    if not other:
        return []
    path, size = other[0]
    return [
        f"{counted(len(other), 'file')} of {patient.name}, such as {path}, of another size ({_size(size)} pixels) than "
        f"{patient.slices[0].image.name} ({_size(first)}); expected one for all slices and masks: export them again."
    ]


def _wrong_values(patient: LggPatient, masks: Sequence[PillowImage.Image]) -> list[str]:
    wrong: list[tuple[Path, set[int]]] = []
    for each, mask in zip(patient.slices, masks, strict=True):
        if mask.mode != "L":
            return [f"{each.mask} is a mask of the mode {mask.mode}; expected grey of 8 bits (L): export it again."]
        others = {value for _, value in mask.getcolors(maxcolors=256) or []} - {0, TUMOUR}
        wrong += [(each.mask, {int(str(value)) for value in others})] if others else []
    if not wrong:
        return []
    path, values = wrong[0]
    shown = ", ".join(map(str, sorted(values)[:MOST_VALUES])) + (", ..." if len(values) > MOST_VALUES else "")
    return [
        f"{counted(len(wrong), 'mask')} of {patient.name} with other values than 0 and {TUMOUR}, such as {path} "
        f"({shown}); expected {TUMOUR} for the tumour and 0 elsewhere: correct them."
    ]


def _copied(volume: NDArray[np.uint8]) -> tuple[str, ...]:
    """The channels of a volume (S, H, W, 3) that equal FLAIR in every pixel."""
    flair = volume[..., FLAIR]
    others = (place for place in range(len(CHANNELS)) if place != FLAIR)
    return tuple(CHANNELS[place] for place in others if np.array_equal(volume[..., place], flair))


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def sizes_of(facts: Sequence[ScanFacts]) -> Counter[str]:
    """Number of scans by size in pixels."""
    return Counter(_size(each.size) for each in facts)
