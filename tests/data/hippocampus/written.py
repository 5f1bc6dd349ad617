"""Small files in the Decathlon's layout."""

from pathlib import Path

import nibabel as nib
import numpy as np

PAIR = ("images", "labels")
SCALES = {"8-bit": (200, np.uint8), "thousands": (3000, np.float32), "millions": (600_000, np.float32)}


def write_case(
    tree: Path, number: int, source: str, voxels: int = 10, folders: tuple[str, str] = ("images", "labels")
) -> None:
    """A case of a source, with ``voxels`` of hippocampus, half of each part."""
    most, dtype = SCALES[source]
    rng = np.random.default_rng(number)
    image = (most * rng.random((12, 12, 12))).astype(dtype)
    image[0, 0, 0] = most
    label = np.zeros(image.shape, np.uint8)
    label.reshape(-1)[:voxels] = 1 + (np.arange(voxels) >= voxels // 2)
    for folder, array in zip(folders, (image, label), strict=True):
        (tree / folder).mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, np.eye(4)), tree / folder / f"hippocampus_{number:03d}.nii.gz")
