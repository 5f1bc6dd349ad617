"""The perceptual hash of a 2D image, by which an image is known again when resized, compressed, recoloured, mirrored.

63 bits: which of the lowest frequencies of the image's 32x32 grey miniature are above their median (the DCT hash of
Zauner, Implementation and benchmarking of perceptual image hash functions, 2010, without the constant term). Two images
with hashes that differ in few bits look alike. A mirror changes signs of frequencies only, so an image has the hashes
of its mirrored forms at no cost: public sets are often enlarged by mirroring. Slices side by side of one head may look
alike too, so near copies are kept together or dropped, never taken for proof of the same file.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

MINIATURE, LOWEST = 32, 8
"""The edge of the miniature in pixels, and the frequencies along each axis that count."""

NEAR = 2
"""Bits in which the hashes of near copies differ at most; distances are even, as every hash has 31 bits set."""

FLAT = 1e-6
"""Standard deviation, as a share of full white, of a miniature in which nothing is to be seen."""

FORMS = 4
"""An image as it is, mirrored left to right, mirrored upside down, and both, which turns it by 180 degrees."""

Hashes = tuple[int, int, int, int]
"""The hashes of an image's four forms, in this order."""

ROWS = 512
"""Hashes that are compared with all others at once: 512 x 8 bytes for each image."""


def perceptual_hashes(grey: NDArray[np.float32]) -> Hashes | None:
    """The hashes of an image (H, W) with values from 0 to 1 in its four forms; None where it is of one value."""
    small = PillowImage.fromarray(grey).resize((MINIATURE, MINIATURE), PillowImage.Resampling.LANCZOS)
    miniature = np.asarray(small, dtype=np.float64)
    if not miniature.std() > FLAT:
        return None
    lowest = dctn(miniature, norm="ortho")[:LOWEST, :LOWEST]
    odd = (-1.0) ** np.arange(LOWEST)
    along_rows, along_columns = odd[None, :], odd[:, None]
    plain, left_right, upside_down = lowest, lowest * along_rows, lowest * along_columns
    return (_bits(plain), _bits(left_right), _bits(upside_down), _bits(left_right * along_columns))


def _bits(lowest: NDArray[np.float64]) -> int:
    frequencies = lowest.ravel()[1:]
    return int("".join("1" if above else "0" for above in frequencies > np.median(frequencies)), 2)


def near_pairs(hashes: Sequence[Hashes | None], most: int = NEAR) -> NDArray[np.int64]:
    """The pairs (P, 2) of places, the smaller first and in order, of images that are near in any of their forms.

    A form of the one and the other as it is differ in at most ``most`` bits; None is near none. Every pair is looked
    at, by exclusive or: two seconds for 8,000 images.
    """
    places = np.array([place for place, each in enumerate(hashes) if each is not None], dtype=np.int64)
    known = np.array([each for each in hashes if each is not None], dtype=np.uint64).reshape(-1, FORMS)
    found = [np.empty((0, 2), dtype=np.int64)]
    for form in range(FORMS):
        for start in range(0, len(known), ROWS):
            distances = np.bitwise_count(known[start : start + ROWS, :1] ^ known[None, :, form])
            one, other = np.nonzero(distances <= most)
            found.append(places[np.stack([one + start, other], axis=1)])
    every = np.sort(np.concatenate(found), axis=1)
    return np.unique(every[every[:, 0] < every[:, 1]], axis=0)


def first_of_group(count: int, pairs: NDArray[np.int64]) -> list[int]:
    """For each of ``count`` places the first place of its group: those that pairs join, directly or by others."""
    joined = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, group_of = connected_components(joined, directed=False)
    _, firsts = np.unique(group_of, return_index=True)
    return [int(first) for first in firsts[group_of]]
