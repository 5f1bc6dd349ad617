"""Small scans in the layout of the lower-grade glioma set."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from fedmed.data.lgg.scan_facts import ScanFacts

SIZE = (48, 40)
"""Rows and columns of a slice."""

INSTITUTIONS = {"CS": 6, "DU": 9, "EZ": 1, "HT": 7}
"""Patients of each institution of a set."""


def slice_pixels(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A head (H, W, 3) of noise in black air; another seed gives another one."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((*size, 3), dtype=np.uint8)
    inner = (slice(6, size[0] - 6), slice(8, size[1] - 8))
    pixels[inner] = rng.integers(60, 200, pixels[inner].shape)
    return pixels


def slice_mask(tumour: bool = True, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A square tumour (H, W), or none."""
    mask = np.zeros(size, dtype=np.uint8)
    mask[12:22, 14:24] = 255 * tumour
    return mask


def write_scan(root: Path, name: str, slices: int = 3, tumour: bool = True, seed: int = 0) -> Path:
    """A patient's folder, whose first slice has no tumour."""
    folder = root / name
    folder.mkdir(parents=True)
    for number in range(1, slices + 1):
        Image.fromarray(slice_pixels(1000 * seed + number)).save(folder / f"{name}_{number}.tif")
        Image.fromarray(slice_mask(tumour and number > 1)).save(folder / f"{name}_{number}_mask.tif")
    return folder


def write_set(root: Path, institutions: Mapping[str, int] = INSTITUTIONS, slices: int = 2) -> Path:
    """A set with so many patients of each institution."""
    for place, (code, number) in enumerate(institutions.items()):
        for patient in range(number):
            write_scan(root, f"TCGA_{code}_{1000 + patient}_19990101", slices, seed=100 * place + patient)
    return root


def facts(tumour_pixels: int = 10, percent: float = 1.0) -> ScanFacts:
    """The facts of a made-up scan."""
    return ScanFacts(20, min(tumour_pixels, 8), tumour_pixels, percent, (256, 256), ())
