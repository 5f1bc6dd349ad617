"""The facts of a film's file that the audit needs, each measured in one reading."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedmed.data.audit.case_facts import image_facts
from fedmed.data.audit.perceptual_hash import Hashes, perceptual_hashes
from fedmed.data.chest_xray.film import Film
from fedmed.data.chest_xray.orientation import Orientation, orientation_of
from fedmed.data.dicom_slice import dicom_slice
from fedmed.data.image_file import ImageFile, content_of, decoded_picture, has_dicom_word
from fedmed.data.picture_file import DICOM_ENDINGS, shown_pixels
from fedmed.data.picture_pixels import as_pixels

EVEN = 2.0
"""Grey levels of 255: a row or column of a smaller standard deviation shows nothing."""


@dataclass(frozen=True)
class FilmFacts:
    """Size in pixels, and what a film is known again by.

    Attributes:
        width: in pixels.
        height: in pixels.
        mode: as Pillow names it (L, RGBA, I;16), or DICOM.
        fingerprint: of the values; None of a film with few.
        perceptual: the hashes of the film and of its mirrored forms; None where it is of one value.
        orientation: the form that it looks most like; None where it is of one value.
        border: the largest share of an edge that is rows above or below, or columns at a side, of one value each.
    """

    width: int
    height: int
    mode: str
    fingerprint: str | None
    perceptual: Hashes | None
    orientation: Orientation | None
    border: float


def film_facts(film: Film) -> FilmFacts:
    """Read one film to its last pixel.

    Raises:
        InputError: it is missing, empty, damaged, or no picture at all.
    """
    content = content_of(film.path)
    if has_dicom_word(content) or film.path.suffix.lower() in DICOM_ENDINGS:
        shown, mode = dicom_slice(film.path, content), "DICOM"
        stored: NDArray[np.generic] = shown
    else:
        picture = decoded_picture(film.path, content)
        shown, mode, stored = shown_pixels(film.path, picture), picture.mode, np.asarray(picture)
    grey = as_pixels(shown, 1)[0]
    return FilmFacts(
        grey.shape[1],
        grey.shape[0],
        mode,
        image_facts(ImageFile(stored, dimensions=2)).fingerprint,
        perceptual_hashes(grey),
        orientation_of(grey),
        border_of(grey),
    )


def border_of(grey: NDArray[np.float32]) -> float:
    """The share of an edge that the widest border takes: rows above or below, columns at a side, each of one value.

    0 for a film that is of one value as a whole; air beside a patient is no border unless it is as even as a frame.
    """
    widest = 0.0
    for lines in (grey, grey.T):
        even = 255 * lines.std(axis=1) < EVEN
        if even.all():
            return 0.0
        edges = int(np.argmin(even)), int(np.argmin(even[::-1]))
        widest = max(widest, max(edges) / len(even))
    return widest
