"""The pixels of a picture as a network takes them: grey or RGB from 0 to 1, whatever its file is."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from fedmed.data.picture_file import read_picture

Channels = Literal[1, 3]


def picture_pixels(path: Path, channels: Channels) -> NDArray[np.float32]:
    """Pixels (channels, H, W) from 0, black, to 1, white, of a file that :func:`read_picture` can read.

    Args:
        path: of the file.
        channels: 1 for grey by ITU-R 601-2 luma, 3 for RGB.

    Raises:
        InputError: the file cannot be read.
    """
    return as_pixels(read_picture(path), channels)


def as_pixels(shown: NDArray[np.uint8], channels: Channels) -> NDArray[np.float32]:
    """Pixels (channels, H, W) from 0 to 1 of a picture (H, W) in grey or (H, W, 3) in RGB."""
    picture = PillowImage.fromarray(shown).convert("L" if channels == 1 else "RGB")
    pixels: NDArray[np.float32] = np.asarray(picture, dtype=np.float32)
    seen: NDArray[np.float32] = pixels / np.float32(255)
    return seen[None] if channels == 1 else np.ascontiguousarray(np.moveaxis(seen, -1, 0))
