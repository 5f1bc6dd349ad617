"""The pixels of a picture as a network takes them: grey or RGB from 0 to 1, whatever the mode of its file."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from fedmed.data.picture_file import read_picture

Channels = Literal[1, 3]

SHOWN_MODES = ("1", "L", "RGB", "LA", "RGBA", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB")
"""Pillow's modes of 8 bits a channel. All others have more, and are scaled by their own range."""


def picture_pixels(path: Path, channels: Channels) -> NDArray[np.float32]:
    """Pixels (channels, H, W) from 0 to 1; transparency is dropped.

    Args:
        path: a PNG, JPEG, TIFF, or DICOM of one frame.
        channels: 1 for grey by ITU-R 601-2 luma, 3 for RGB.

    Raises:
        InputError: the file cannot be read.
    """
    return as_pixels(read_picture(path), channels)


def as_pixels(picture: PillowImage.Image, channels: Channels) -> NDArray[np.float32]:
    """Pixels (channels, H, W) of a decoded picture: 0 is black and 1 white, or of more than 8 bits its own extremes."""
    if picture.mode in SHOWN_MODES:
        shown: NDArray[np.float32] = np.asarray(picture.convert("L" if channels == 1 else "RGB"), dtype=np.float32)
        seen: NDArray[np.float32] = shown / np.float32(255)
        return seen[None] if channels == 1 else np.ascontiguousarray(np.moveaxis(seen, -1, 0))
    deep: NDArray[np.float32] = np.asarray(picture, dtype=np.float32)
    low, high = deep.min(), deep.max()
    grey: NDArray[np.float32] = (deep - low) / (high - low if high > low else np.float32(1))
    return np.repeat(grey[None], channels, axis=0)
