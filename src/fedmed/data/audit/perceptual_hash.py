"""The perceptual hash of a 2D image, by which an image is recognised after resizing, lossy compression and recolouring.

63 bits: which of the lowest frequencies of the image's 32x32 grey miniature are above their median (the DCT hash of
Zauner, Implementation and benchmarking of perceptual image hash functions, 2010, without the constant term). Two images
with hashes that differ in few bits look alike. Scans of one patient, slice beside slice, may look alike too, so near
copies are kept together or dropped, never taken for proof of the same file.
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

ROWS = 512
"""Hashes that are compared with all others at once: 512 x 8 bytes for each image."""


def perceptual_hash(grey: NDArray[np.float32]) -> int | None:
    """The hash (63 bits) of an image (H, W) with values from 0 to 1; None where it is of one value."""
    small = PillowImage.fromarray(grey).resize((MINIATURE, MINIATURE), PillowImage.Resampling.LANCZOS)
    miniature = np.asarray(small, dtype=np.float64)
    if not miniature.std() > FLAT:
        return None
    frequencies = dctn(miniature, norm="ortho")[:LOWEST, :LOWEST].ravel()[1:]
    bits = "".join("1" if above else "0" for above in frequencies > np.median(frequencies))
    return int(bits, 2)


def near_pairs(hashes: Sequence[int | None], most: int = NEAR) -> NDArray[np.int64]:
    """The pairs (P, 2) of places, the smaller first, whose hashes differ in at most ``most`` bits; None is near none.

    Every pair is looked at, by exclusive or: a second for 10,000 images.
    """
    places = np.array([place for place, each in enumerate(hashes) if each is not None], dtype=np.int64)
    known = np.array([each for each in hashes if each is not None], dtype=np.uint64)
    found = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(known), ROWS):
        distances = np.bitwise_count(known[start : start + ROWS, None] ^ known[None, start:])
        one, other = np.nonzero(distances <= most)
        found.append(places[start + np.stack([one, other], axis=1)[one < other]])
    return np.concatenate(found)


def first_of_group(count: int, pairs: NDArray[np.int64]) -> list[int]:
    """For each of ``count`` places the first place of its group: those that pairs join, directly or by others."""
    joined = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, group_of = connected_components(joined, directed=False)
    _, firsts = np.unique(group_of, return_index=True)
    return [int(first) for first in firsts[group_of]]
