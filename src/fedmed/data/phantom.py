"""Synthetic BraTS-like cases, so that everything can be tried and tested without patient data.

They have what a segmentation network has to cope with (four contrasts, nested tumour parts, cases that differ) and the
form of the real files. They say nothing about how well a method segments real tumours.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from fedmed.data.brats import (
    ALL_SITES,
    LABEL_SCHEMES,
    NAMINGS,
    PHANTOM_MARKER,
    CaseFiles,
    LabelScheme,
    find_case_files,
    staging_folder,
    write_site_lists,
)
from fedmed.errors import InputError

Size = tuple[int, int, int]
Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]

SMALLEST = 32
"""Voxels along an axis below which the parts of a tumour get too thin to be told apart."""

LARGEST = 512
"""Voxels along an axis above which no scanner's volume lies."""

WITHOUT_ENHANCING_EVERY = 9
"""Every such case has no enhancing part. As no usual number of sites divides it, these spread over the sites."""

NECROSIS, OEDEMA = 1, 2

# Mean intensities of the tissues in the order of MODALITIES (t1ce, t1, t2, flair), in the arbitrary units of MR.
GREY = (430, 410, 500, 450)
WHITE = (520, 520, 350, 370)
FLUID = (190, 170, 880, 170)
NECROTIC = (250, 250, 740, 430)
SWOLLEN = (370, 350, 680, 670)
ENHANCED = (860, 440, 580, 570)
VESSEL = (820, 480, 380, 380)

NOISE = 40.0
"""Standard deviation of the noise, in the same units."""


@dataclass(frozen=True)
class Anatomy:
    """Where things are in a case; every mask and field has the shape of the volume (X, Y, Z)."""

    brain: Mask
    white: Volume  # share of white matter in healthy tissue, 0 to 1
    fluid: Mask
    vessel: Mask
    tumour: NDArray[np.uint8]  # 0, NECROSIS, OEDEMA or the scheme's label of the enhancing part


def make_phantom(
    out: Path,
    datalist: Path,
    sites: int = 4,
    cases: int = 4,
    validation: int = 4,
    size: Size = (96, 96, 80),
    seed: int = 0,
    layout: str = "brats2018",
) -> None:
    """Write a phantom dataset and its datalists.

    Cases go to ``out/training``, in the naming of ``layout``; lists ``site-1.json`` to ``site-<sites>.json`` and
    ``site-All.json``, with paths relative to ``out``, go to ``datalist``, which may lie inside ``out``. The dataset
    appears in one step when all is written, with ``out/PHANTOM.json`` stating how it was made.

    Validation cases have the first numbers and the sites take the next ones in turn, so a larger ``cases`` with the
    same ``sites`` and ``validation`` adds to each site and leaves the earlier cases as they were.

    Args:
        out: the dataset folder; must be empty or absent.
        datalist: the folder of the lists; must hold none of them.
        sites: number of sites, at least 1.
        cases: training cases at each site, at least 1.
        validation: validation cases, shared by all sites, at least 1.
        size: voxels (of 1 mm) along each axis, at least 32 each.
        seed: 0 or more; one seed always gives the same arrays.
        layout: ``brats2018`` or ``brats2023``.

    Raises:
        InputError: an argument is out of its range, or something would be overwritten.
    """
    _check_arguments(sites, cases, validation, size, seed, layout)
    _check_targets(out, datalist, sites)
    with staging_folder(out) as stage:
        every = [_write_case(stage, number, size, seed, layout) for number in range(1, validation + sites * cases + 1)]
        training = {f"site-{i + 1}": every[validation + i :: sites] for i in range(sites)}
        inside = datalist.resolve().is_relative_to(out.resolve())
        lists = stage / datalist.resolve().relative_to(out.resolve()) if inside else datalist
        write_site_lists(lists, training, every[:validation], root=stage)
        facts = {"sites": sites, "cases": cases, "validation": validation, "size": size, "seed": seed, "layout": layout}
        document = {"what": "synthetic phantom, no patient data", **facts}
        (stage / PHANTOM_MARKER).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        stage.rename(out.resolve())


def is_phantom(dataset: Path) -> bool:
    """Whether a dataset folder holds phantoms, so that no result on it is taken for one on patients."""
    return (dataset / PHANTOM_MARKER).is_file()


def phantom_case(
    rng: np.random.Generator,
    size: Size,
    enhancing: bool = True,
    scheme: LabelScheme = LABEL_SCHEMES["brats2018"],
) -> tuple[Volume, NDArray[np.uint8]]:
    """One synthetic case.

    Args:
        rng: all randomness comes from it.
        size: (X, Y, Z) in voxels.
        enhancing: whether the tumour has an enhancing part; without one the whole core is necrotic.
        scheme: gives the label of the enhancing part.

    Returns:
        Images (4, X, Y, Z) in the order of ``MODALITIES``, whole numbers from 0 to about 1500, 0 exactly outside the
        brain and at least 1 inside; and the label (X, Y, Z). The tumour is inside the brain.
    """
    depth = _brain_depth(rng, size)
    brain = depth < 1
    white = np.clip(0.5 + 0.7 * smooth_noise(rng, size, min(size) / 12) - 0.8 * (depth > 0.88), 0, 1)
    tumour = _tumour(rng, depth, scheme.enhancing if enhancing else NECROSIS)
    vessel = _vessels(rng, size) & brain & (tumour == 0)
    anatomy = Anatomy(brain, white.astype(np.float32), _ventricles(rng, size) & brain, vessel, tumour)
    return _images(rng, anatomy, scheme), tumour


def smooth_noise(rng: np.random.Generator, size: Size, scale: float) -> Volume:
    """A smooth random field over a volume: mean 0 and variance 1 at each voxel, structures of ``scale`` voxels."""
    cells = [max(2, round(n / (0.6 * scale)) + 1) for n in size]
    weights = [_kernel_weights(n, k) for n, k in zip(size, cells, strict=True)]
    field = rng.standard_normal(cells)
    for weight in weights:
        # Takes the first axis and appends its finer version, so three turns bring the axes back into order.
        field = np.tensordot(field, weight, axes=(0, 1))
    return np.asarray(field, dtype=np.float32)


def _kernel_weights(points: int, cells: int) -> NDArray[np.float64]:
    """(points, cells): how much of each cell's random value a point gets; rows of unit length keep the variance 1."""
    position = np.linspace(0, cells - 1, points)[:, None]
    weights = np.exp(-0.5 * (position - np.arange(cells)) ** 2)  # wide enough that the cells' grid does not show
    unit: NDArray[np.float64] = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    return unit


def _ellipsoid(size: Size, centre: Sequence[float], radii: Sequence[float] | NDArray[np.float64]) -> Volume:
    """Distance from ``centre`` in units of ``radii`` (both in voxels, an axis each): below 1 inside the ellipsoid."""
    axes = [((np.arange(n) - c) / r) ** 2 for n, c, r in zip(size, centre, radii, strict=True)]
    return np.sqrt(axes[0][:, None, None] + axes[1][:, None] + axes[2]).astype(np.float32)


def _brain_depth(rng: np.random.Generator, size: Size) -> Volume:
    """0 at the middle of the brain, 1 at its surface: an uneven ellipsoid that leaves a margin on each side."""
    centre = [(n - 1) / 2 for n in size]
    radii = [n * share * rng.uniform(0.97, 1.03) for n, share in zip(size, (0.42, 0.45, 0.44), strict=True)]
    uneven = np.exp(np.clip(0.02 * smooth_noise(rng, size, min(size) / 5), -0.05, 0.05))
    return (_ellipsoid(size, centre, radii) * uneven).astype(np.float32)


def _ventricles(rng: np.random.Generator, size: Size) -> Mask:
    """Two fluid-filled ellipsoids, left and right of the middle."""
    unit = min(size) / 96
    found = np.zeros(size, dtype=np.bool_)
    for side in (-1, 1):
        shift = np.array([side * rng.uniform(6, 8), rng.uniform(-3, 3), rng.uniform(0, 4)]) * unit
        radii = np.array([rng.uniform(3, 5), rng.uniform(13, 17), rng.uniform(5, 8)]) * unit
        found |= _ellipsoid(size, [(n - 1) / 2 + s for n, s in zip(size, shift, strict=True)], radii) < 1
    return found


def _vessels(rng: np.random.Generator, size: Size) -> Mask:
    """Thin winding tubes, bright in T1ce as the enhancing part is: where two smooth fields both cross zero."""
    scale = min(size) / 6
    first, second = smooth_noise(rng, size, scale), smooth_noise(rng, size, scale)
    return (first**2 + second**2) < 0.15**2


def _tumour(rng: np.random.Generator, depth: Volume, rim_label: int) -> NDArray[np.uint8]:
    """Oedema around a core that is necrotic inside ``rim_label``, all well below the surface of the brain."""
    size: Size = depth.shape[0], depth.shape[1], depth.shape[2]
    radius = rng.uniform(14, 22) * min(size) / 96
    direction = rng.standard_normal(3)
    direction *= rng.uniform(0.25, 0.55) / np.linalg.norm(direction)
    centre = [(n - 1) / 2 + 0.42 * n * d for n, d in zip(size, direction, strict=True)]
    whole = _blob(rng, size, centre, radius) < 1
    core_radius = radius * rng.uniform(0.58, 0.72)
    core_centre = [c + rng.uniform(-0.12, 0.12) * radius for c in centre]
    core = _blob(rng, size, core_centre, core_radius)
    label = np.zeros(size, dtype=np.uint8)
    label[whole] = OEDEMA
    label[whole & (core < 1)] = rim_label
    label[whole & (core < rng.uniform(0.58, 0.74))] = NECROSIS
    label[depth > 0.92] = 0
    return label


def _blob(rng: np.random.Generator, size: Size, centre: Sequence[float], radius: float) -> Volume:
    """Distance from ``centre`` in units of an irregular radius of about ``radius`` voxels: below 1 inside."""
    radii = radius * rng.uniform(0.85, 1.15, 3)
    uneven = np.exp(np.clip(0.16 * smooth_noise(rng, size, 0.6 * radius), -0.32, 0.32))
    return (_ellipsoid(size, centre, radii) * uneven).astype(np.float32)


def _images(rng: np.random.Generator, anatomy: Anatomy, scheme: LabelScheme) -> Volume:
    """The four contrasts (4, X, Y, Z) of an anatomy, each with a gain, a shading and noise of its own."""
    size: Size = anatomy.white.shape[0], anatomy.white.shape[1], anatomy.white.shape[2]
    parts = {NECROSIS: NECROTIC, OEDEMA: SWOLLEN, scheme.enhancing: ENHANCED}
    texture = 1 + 0.07 * smooth_noise(rng, size, min(size) / 16)
    images = np.zeros((len(GREY), *size), dtype=np.float32)
    for channel, image in enumerate(images):
        tissue = {label: means[channel] * rng.normal(1, 0.06) for label, means in parts.items()}
        image[...] = _tissue_means(anatomy, channel, tissue) * texture
        image[...] = gaussian_filter(image, 0.6, truncate=2.5)  # voxels at a border hold some of both sides
        image *= rng.uniform(0.8, 1.25) * (1 + 0.05 * smooth_noise(rng, size, min(size) / 2))
        image += NOISE * rng.standard_normal(size, dtype=np.float32)
    inside = np.clip(np.rint(images), 1, None)
    return np.where(anatomy.brain, inside, np.float32(0)).astype(np.float32)


def _tissue_means(anatomy: Anatomy, channel: int, tumour: Mapping[int, float]) -> Volume:
    """The mean intensity of each voxel in one channel; ``tumour`` gives that of each tumour label."""
    means = GREY[channel] + (WHITE[channel] - GREY[channel]) * anatomy.white
    means[anatomy.fluid] = FLUID[channel]
    means[anatomy.vessel] = VESSEL[channel]
    for label, mean in tumour.items():
        means[anatomy.tumour == label] = mean
    return np.where(anatomy.brain, means, 0).astype(np.float32)


def _write_case(root: Path, number: int, size: Size, seed: int, layout: str) -> CaseFiles:
    """Make and write case ``number`` (from 1); what it is depends on the number, size, seed and layout alone."""
    naming, scheme = NAMINGS[layout], LABEL_SCHEMES[layout]
    enhancing = number % WITHOUT_ENHANCING_EVERY != 0
    images, label = phantom_case(np.random.default_rng([seed, number]), size, enhancing, scheme)
    if layout == "brats2018":
        folder = root / "training" / ("HGG" if enhancing else "LGG") / f"Brats18_PHANTOM_{number:03d}_1"
    else:
        folder = root / "training" / f"BraTS-GLI-{number:05d}-000"
    folder.mkdir(parents=True)
    volumes = (*images.astype(np.int16), label)
    for part, volume in zip(naming.parts, volumes, strict=True):
        _write_volume(naming.path(folder, folder.name, part), volume)
    return find_case_files(folder)


def _write_volume(path: Path, volume: NDArray[np.int16] | NDArray[np.uint8]) -> None:
    """Write a compressed NIfTI file with voxels of 1 mm and the axes of BraTS: to the left, to the back, up."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[1, 3] = volume.shape[1] - 1
    image = nib.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm")
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))


def _check_arguments(sites: int, cases: int, validation: int, size: Sequence[int], seed: int, layout: str) -> None:
    for name, value, least in (
        ("sites", sites, 1),
        ("cases", cases, 1),
        ("validation", validation, 1),
        ("seed", seed, 0),
    ):
        if value < least:
            raise InputError(f"{name} is {value}; give a whole number of at least {least}.")
    if len(size) != 3 or any(not SMALLEST <= n <= LARGEST for n in size):
        raise InputError(f"size is {tuple(size)}; give three numbers of voxels, each from {SMALLEST} to {LARGEST}.")
    if layout not in NAMINGS:
        raise InputError(f"The layout {layout!r} is not known; choose one of {', '.join(NAMINGS)}.")


def _check_targets(out: Path, datalist: Path, sites: int) -> None:
    """Refuse before any work when something would be overwritten or the dataset could not be moved into place."""
    if out.is_mount():
        raise InputError(f"{out} is a mount point and cannot be put in place in one step; give a folder inside it.")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} is not an empty folder; nothing is overwritten: choose another folder or remove it.")
    names = [f"{site}.json" for site in (*(f"site-{i + 1}" for i in range(sites)), ALL_SITES)]
    there = [name for name in names if (datalist / name).exists()]
    if there:
        raise InputError(
            f"{datalist} already holds {', '.join(there)}; nothing is overwritten, so choose another folder for the "
            "lists or remove them."
        )
