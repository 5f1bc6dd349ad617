"""A patient made of balls, and a network that reads the tumour off the brightness."""

from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from torch import nn

from fedmed.data.brats.brats_layout import MODALITIES

OBLIQUE = np.array([[0.10, -1.46, 0.32, 30], [0.88, 0.16, -0.62, -12], [0.17, 0.26, 2.4, 7], [0, 0, 0, 1]])
"""Axes that lie aslant, are swapped and mirrored, with voxels of about 0.9 x 1.5 x 2.5 mm."""

BRAIN_MM, TUMOUR_MM = 17, 8
"""Radii of the brain, and of the tumour in its middle but for some mm to the right and front."""
ASIDE = np.array([3.0, 2.0, 0.0])


class ByBrightness(nn.Module):
    """TC, WT and ET where t1ce, t1 and t2 are brighter than the brain."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return 20 * (image[:, :3] - 1)


def make_patient(folder: Path, shape: tuple[int, int, int], affine: np.ndarray) -> tuple[Path, np.ndarray]:
    """Four files in a folder, and the tumour's mask (X, Y, Z)."""
    folder.mkdir(parents=True)
    at = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    middle = affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3]
    brain = np.linalg.norm(at - middle, axis=-1) < BRAIN_MM
    tumour = np.linalg.norm(at - middle - ASIDE, axis=-1) < TUMOUR_MM
    for number, modality in enumerate(MODALITIES):
        voxels = (
            (200 + 10 * number) * brain + 500 * tumour + np.random.default_rng(number).integers(0, 20, shape) * brain
        )
        nib.save(nib.Nifti1Image(voxels.astype(np.int16), affine), folder / f"p_{modality}.nii.gz")
    return folder, tumour
