"""DICOM series of synthetic slices."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.data.test_dicom_slice import slice_of

AXIAL = [1, 0, 0, 0, 1, 0]


def write_series(folder: Path, volume: np.ndarray, gap: float = 4.0, **elements: Any) -> Path:
    """A series of a volume (S, H, W) uint16, ``gap`` mm apart and upwards, in an order that no name tells."""
    folder.mkdir(parents=True)
    usual = {
        "SeriesInstanceUID": "1.2.3",
        "FrameOfReferenceUID": "1.2.9",
        "PatientID": "P",
        "ImageOrientationPatient": AXIAL,
        "PixelSpacing": [0.5, 0.8],
        "SliceThickness": 3,
    }
    origin = elements.pop("origin", (-10.0, -20.0, 30.0))
    for number, values in enumerate(volume):
        place = [origin[0], origin[1], origin[2] + gap * number]
        made = slice_of(values, **{**usual, "ImagePositionPatient": place, **elements})
        made.save_as(folder / f"{(7 * number) % len(volume):03d}")
    return folder


def head_series(slices: int = 5, size: tuple[int, int] = (48, 40), seed: int = 0) -> np.ndarray:
    """A head (S, H, W) of noise in black air."""
    rng = np.random.default_rng(seed)
    volume = np.zeros((slices, *size), np.uint16)
    inner = volume[:, 6 : size[0] - 6, 8 : size[1] - 8]
    inner[:] = rng.integers(600, 2000, inner.shape)
    return volume
