"""A 2D image that a person hands in, as 8-bit grey or RGB, whatever its file is: PNG, JPEG, TIFF or DICOM."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from fedmed.core.errors import InputError
from fedmed.data.dicom_slice import dicom_slice, stretched
from fedmed.data.image_file import PICTURES, attempt, content_of, decoded_picture, has_dicom_word

DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
"""The endings, in lower case, of DICOM files; those that begin with DICOM's word may have any name."""

LEAST_EDGE = 16
"""Pixels along the shorter edge; with fewer there is nothing to see."""

GREY_MODES = ("1", "L", "LA", "La")
"""Pillow's names of images in 8 bits of grey or fewer."""


def read_picture(path: Path) -> NDArray[np.uint8]:
    """The image (H, W) in grey, 0 for black, or (H, W, 3) in RGB.

    Transparency is dropped, palettes and CMYK become RGB, and grey in 16 or 32 bits is stretched over its own range,
    as DICOM without a window is; :mod:`fedmed.data.dicom_slice` describes DICOM.

    Raises:
        InputError: the file is missing, damaged or of another kind, holds several pages or frames, or is too small.
    """
    content = content_of(path)
    ending = path.suffix.lower()
    if has_dicom_word(content) or ending in DICOM_ENDINGS:
        pixels = dicom_slice(path, content)
    elif ending in PICTURES:
        pixels = shown_pixels(path, decoded_picture(path, content))
    else:
        raise InputError(
            f"{path} is no 2D image that can be read; expected {', '.join(PICTURES)} or DICOM: export it as one."
        )
    height, width = pixels.shape[:2]
    if min(height, width) < LEAST_EDGE:
        raise InputError(
            f"{path} is {width} x {height} pixels; expected at least {LEAST_EDGE} along each edge: give it whole."
        )
    return pixels


def shown_pixels(path: Path, image: PillowImage.Image) -> NDArray[np.uint8]:
    """The pixels of a decoded picture, in the forms of :func:`read_picture`.

    Raises:
        InputError: they are not finite; the sentence names ``path``.
    """
    if image.mode.startswith(("I", "F")):
        return attempt(path, "as an image", lambda: stretched(np.asarray(image)))
    return np.asarray(image.convert("L" if image.mode in GREY_MODES else "RGB"))
