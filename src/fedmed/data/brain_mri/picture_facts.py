"""The facts of an image's file that the audit and the split need, each measured in one reading."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedmed.core.errors import InputError, in_words
from fedmed.data.audit.case_facts import image_facts
from fedmed.data.audit.perceptual_hash import Hashes, perceptual_hashes
from fedmed.data.image_file import DICOM, ImageFile, decoded_picture
from fedmed.data.picture_file import shown_pixels
from fedmed.data.picture_pixels import as_pixels

SMALLEST = 32
"""Pixels of an edge below which no anatomy is to be seen."""


@dataclass(frozen=True)
class PictureFacts:
    """Size in pixels, colour mode and format as Pillow names them, and what an image is known again by.

    Attributes:
        sha256: of the file, hexadecimal.
        fingerprint: of the values, as sites compare it; None of an image with few.
        perceptual: the hashes of the image and of its mirrored forms; None where it is of one value.
    """

    width: int
    height: int
    mode: str
    format: str
    sha256: str
    fingerprint: str | None
    perceptual: Hashes | None


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
    return PictureFacts(
        picture.width,
        picture.height,
        picture.mode,
        picture.format or "unknown",
        hashlib.sha256(content).hexdigest(),
        image_facts(ImageFile(np.asarray(picture), dimensions=2)).fingerprint,
        perceptual_hashes(as_pixels(shown_pixels(path, picture), 1)[0]),
    )
