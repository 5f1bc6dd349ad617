"""Synthetic hippocampi, so that the task can be tried and tested without patient data: two touching blobs.

A bent, tapering body lies along the front-to-back axis and is divided into its anterior and posterior part. Sites
differ in their intensities as the real set's sources do. It is no evidence of how well a method segments a hippocampus.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedmed.core.files import staging_folder
from fedmed.data.brats.brats_layout import PHANTOM_MARKER
from fedmed.data.hippocampus.hippocampus_layout import ANTERIOR, FOLDERS, POSTERIOR, HippocampusCase
from fedmed.data.phantoms.phantom import check_counts, made_once
from fedmed.data.phantoms.smooth_noise import Mask, Size, Volume, smooth_noise
from fedmed.data.splits.site_lists import write_site_lists

SIZE: Size = (30, 42, 28)


@dataclass(frozen=True)
class IntensityProfile:
    """The intensities of a site's images: between ``low`` and ``high``, as bytes or as float32, with noise."""

    low: float
    high: float
    noise: float  # standard deviation as a share of the range
    dtype: str


PROFILES = (
    IntensityProfile(0, 255, 0.04, "uint8"),
    IntensityProfile(0, 2500, 0.06, "float32"),
    IntensityProfile(100, 4200, 0.09, "float32"),
    IntensityProfile(0, 900_000, 0.05, "float32"),
)
"""Of the sites in turn."""


def hippocampus_phantom(
    rng: np.random.Generator, size: Size = SIZE, profile: IntensityProfile = PROFILES[0]
) -> tuple[NDArray[np.float32] | NDArray[np.uint8], NDArray[np.uint8]]:
    """One synthetic case: an image (X, Y, Z) of the profile's type, and its label; axes to the right, front and up.

    Args:
        rng: the randomness of shape and image.
        size: voxels.
        profile: of the site.
    """
    along, body = _body(rng, size)
    label = np.where(body, np.where(along > rng.uniform(0.0, 0.2), ANTERIOR, POSTERIOR), 0).astype(np.uint8)
    tissue = 0.35 + 0.3 * ndimage.gaussian_filter(body.astype(np.float32), 0.6) + 0.06 * smooth_noise(rng, size, 4.0)
    shown = tissue + profile.noise * rng.standard_normal(size)
    image = profile.low + (profile.high - profile.low) * np.clip(shown, 0, 1)
    return image.astype(profile.dtype), label


def demo_hippocampi(
    folder: Path, sites: int = 4, cases: int = 4, validation: int = 4, size: Size = SIZE, seed: int = 0
) -> None:
    """Write a synthetic dataset in the Decathlon's form, and its lists in ``folder/datalist``, unless it is there.

    Args:
        folder: dataset folder; must be empty or absent, or hold the dataset.
        sites: number of sites.
        cases: training cases at each site.
        validation: cases that all sites validate on.
        size: voxels of every case.
        seed: another seed gives other cases.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    check_counts(sites, cases, validation, seed)
    made_once(folder, lambda: _write(folder, sites, cases, validation, size, seed))


def _write(folder: Path, sites: int, cases: int, validation: int, size: Size, seed: int) -> None:
    with staging_folder(folder) as stage:
        for name in FOLDERS[0]:
            (stage / name).mkdir()
        every = [_write_case(stage, number, sites, size, seed) for number in range(validation + sites * cases)]
        training = {f"site-{site + 1}": every[validation:][site::sites] for site in range(sites)}
        write_site_lists(stage / "datalist", training, every[:validation], stage)
        facts = {"sites": sites, "cases": cases, "validation": validation, "size": size, "seed": seed}
        document = {"what": "synthetic phantom, no patient data", **facts, "profiles": [*map(asdict, PROFILES)]}
        (stage / PHANTOM_MARKER).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        stage.rename(folder.resolve())


def _write_case(root: Path, number: int, sites: int, size: Size, seed: int) -> HippocampusCase:
    """The sites take turns, in the validation cases too."""
    profile = PROFILES[number % sites % len(PROFILES)]
    volumes = hippocampus_phantom(np.random.default_rng([seed, number]), size, profile)
    paths: Sequence[Path] = [root / name / f"phantom_{number + 1:03d}.nii.gz" for name in FOLDERS[0]]
    for path, volume in zip(paths, volumes, strict=True):
        image = nib.Nifti1Image(volume, np.eye(4))
        image.header.set_xyzt_units("mm")
        nib.save(image, path)
    return HippocampusCase(paths[0], paths[1])


def _body(rng: np.random.Generator, size: Size) -> tuple[Volume, Mask]:
    """The place along the body, from -1 behind to 1 in front (1, Y, 1), and the voxels of the body (X, Y, Z)."""
    x, y, z = (np.linspace(-1, 1, edge, dtype=np.float32) for edge in size)
    along = y / rng.uniform(0.7, 0.85)
    thickness = np.sqrt(np.clip(1 - along**2, 0, None)) * (1 + 0.3 * along) * rng.uniform(0.3, 0.4)
    middle_x = rng.uniform(-0.15, 0.15) + rng.uniform(-0.3, 0.3) * along
    middle_z = rng.uniform(-0.15, 0.15) + rng.uniform(0.1, 0.4) * along**2
    apart = ((x[:, None, None] - middle_x[:, None]) / 0.9) ** 2 + (z - middle_z[:, None]) ** 2
    return along[:, None], apart < thickness[:, None] ** 2
