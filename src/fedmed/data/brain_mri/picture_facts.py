"""The facts of an image's file that the audit and the split need, each measured in one reading."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedmed.core.errors import InputError, in_words
from fedmed.data.audit.case_facts import image_facts
from fedmed.data.audit.perceptual_hash import perceptual_hash
from fedmed.data.brain_mri.brain_image import BrainImage
from fedmed.data.image_file import DICOM, ImageFile, decoded_picture
from fedmed.data.picture_file import shown_pixels
from fedmed.data.picture_pixels import as_pixels

SMALLEST = 32
"""Pixels of an edge below which no anatomy is to be seen."""

READERS = 4
"""Files that are read at once: decoding releases the interpreter's lock."""


@dataclass(frozen=True)
class PictureFacts:
    """Size in pixels, colour mode and format as Pillow names them, and the hashes, which are hexadecimal.

    ``perceptual`` is None where the image is of one value; ``fingerprint`` is that of the audit, which a mirrored or
    turned copy has too, and None where there are few values.
    """

    width: int
    height: int
    mode: str
    format: str
    sha256: str
    perceptual: str | None
    fingerprint: str | None = None


@dataclass(frozen=True)
class MeasuredPictures:
    """The facts by the image's file, and the reason why each of the others cannot be used."""

    facts: dict[str, PictureFacts]
    unreadable: dict[str, str]


def picture_facts(path: Path) -> PictureFacts:
    """Read one image to its last pixel.

    Raises:
        InputError: it is missing, empty, damaged, too small, animated or no picture at all.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(in_words(error)) from error
    if not content:
        raise InputError(f"{path} is empty (0 bytes); copy it again.")
    if content[128:132] == DICOM:
        raise InputError(f"{path} is a DICOM file by another name; export it as PNG.")
    picture = decoded_picture(path, content)
    if min(picture.size) < SMALLEST:
        found = f"{picture.width} x {picture.height} pixels"
        raise InputError(f"{path} has {found}; expected at least {SMALLEST} along each edge: export it again.")
    found_hash = perceptual_hash(as_pixels(shown_pixels(path, picture), 1)[0])
    return PictureFacts(
        picture.width,
        picture.height,
        picture.mode,
        picture.format or "unknown",
        hashlib.sha256(content).hexdigest(),
        None if found_hash is None else f"{found_hash:016x}",
        image_facts(ImageFile(np.asarray(picture), dimensions=2)).fingerprint,
    )


def measured_pictures(images: Sequence[BrainImage]) -> MeasuredPictures:
    """The facts of all images that can be read."""

    def measure(image: BrainImage) -> PictureFacts | str:
        try:
            return picture_facts(image.path)
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(max_workers=READERS) as pool:
        answers = dict(zip((image.file for image in images), pool.map(measure, images), strict=True))
    return MeasuredPictures(
        {file: answer for file, answer in answers.items() if isinstance(answer, PictureFacts)},
        {file: answer for file, answer in answers.items() if isinstance(answer, str)},
    )
