"""The fingerprint of an image: the values of its voxels, in any place, by which the same image is recognised.

The fingerprint is taken of how often each value other than 0 occurs. So it stays the same when a file is renamed,
compressed otherwise, stored in another integer or float type, turned or mirrored (with or without its header saying
so), or given another margin of zeros. Noise makes two scans of one patient differ. An image that was resampled,
rescaled or compressed with loss gets another fingerprint and is not recognised.
"""

import hashlib
import hmac
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmed.core.errors import InputError

FEWEST_VALUES = 16
"""An image with fewer different values (a mask, an empty volume) may well equal a stranger's, and gets none."""

SHORTEST_KEY = 16


def fingerprint(values: NDArray[Any], counts: NDArray[np.int64]) -> str | None:
    """64 hexadecimal digits for the different non-zero values, in ascending order, and how often each occurs."""
    if len(values) < FEWEST_VALUES:
        return None
    digest = hashlib.sha256(np.ascontiguousarray(values, dtype="<f4").tobytes())
    digest.update(np.ascontiguousarray(counts, dtype="<i8").tobytes())
    return digest.hexdigest()


def keyed(fingerprint: str, key: str) -> str:
    """The fingerprint as it may leave a site: without ``key`` nobody can test an image against it (HMAC-SHA-256).

    Raises:
        InputError: the key is so short that it could be guessed.
    """
    if len(key) < SHORTEST_KEY:
        raise InputError(
            f"DUPLICATES_KEY has {len(key)} characters; expected at least {SHORTEST_KEY}, the same at every site: "
            'make one with python -c "import secrets; print(secrets.token_hex(32))".'
        )
    return hmac.new(os.fsencode(key), fingerprint.encode(), hashlib.sha256).hexdigest()
