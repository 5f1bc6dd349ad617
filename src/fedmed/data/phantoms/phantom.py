"""Synthetic BraTS-like datasets, so that everything can be tried and tested without patient data.

A case is a simulated glioma in a bent copy of a healthy average brain, pictured by a simulated scanner. It has the
difficulties of real cases and the form of the real files. It is no evidence of how well a method segments
real tumours.
"""

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from fedmed.core.errors import InputError, in_words
from fedmed.core.files import staging_folder
from fedmed.core.options import expect_between
from fedmed.data.brats.brats_layout import (
    LABEL_SCHEMES,
    NAMINGS,
    NECROSIS,
    PHANTOM_MARKER,
    CaseFiles,
    LabelScheme,
    find_case_files,
)
from fedmed.data.phantoms.anatomy import random_anatomy
from fedmed.data.phantoms.glioma import random_glioma
from fedmed.data.phantoms.mr_contrasts import image_case
from fedmed.data.phantoms.site_profile import COMMON, SiteProfile, site_profile
from fedmed.data.phantoms.smooth_noise import Size, Volume
from fedmed.data.splits.site_lists import lists_in, write_site_lists

SMALLEST = 32
"""Voxels along an axis below which the parts of a tumour get too thin to be distinct."""

LARGEST = 512
"""Voxels along an axis above which no scanner's volume lies."""

WITHOUT_ENHANCING_EVERY = 9
"""Every such case has no enhancing part. As 9 has no divisor in common with 2, 4 or 5 sites, these spread over them."""

VALIDATION_LISTS = ("shared", "per_site")
"""All sites validate on the same cases, or each on its own."""

CONTENT, IMAGING = 0, 1
"""Streams of random numbers of a case: its anatomy must not depend on its pictures."""


@dataclass(frozen=True)
class Phantoms:
    """The parameters of a dataset; one value always gives the same arrays."""

    size: Size
    seed: int
    layout: str
    profiles: tuple[SiteProfile, ...]  # of each site


PHANTOMS = "synthetic phantoms"
"""Stands beside every result on them."""


def make_phantom(
    out: Path,
    datalist: Path,
    sites: int = 4,
    cases: int = 4,
    validation: int = 4,
    size: Size = (96, 96, 80),
    seed: int = 0,
    layout: str = "brats2018",
    site_strength: float = 0.0,
    validation_lists: str = "shared",
) -> None:
    """Write a phantom dataset and its datalists.

    Cases go to ``out/training``, in the naming of ``layout``; lists ``site-1.json`` to ``site-<sites>.json`` and
    ``site-All.json``, with paths relative to ``out``, go to ``datalist``, which may lie inside ``out``. The dataset
    appears in one step when all is written, with ``out/PHANTOM.json`` stating how it was made.

    Validation cases have the first numbers, training cases the next ones, and the sites take both in turn, so a larger
    ``cases`` with the same ``sites`` and ``validation`` adds to each site and leaves the earlier cases as they were.
    The site that takes a case pictures it, shared validation cases included, and stands in the institution's place in
    the case's name (in the naming of 2018; that of 2023 has no such place): ``Brats18_PHANTOM2_006_1`` is of site-2.
    Anatomy, tumour and so the label of a case depend on its number, ``size`` and ``seed``, but not on the site.

    Args:
        out: the dataset folder; must be empty or absent.
        datalist: the folder of the lists; must hold no list.
        sites: number of sites, at least 1.
        cases: training cases at each site, at least 1.
        validation: validation cases, shared by all sites or of each site, at least 1.
        size: voxels (of 1 mm) along each axis, at least 32 each.
        seed: 0 or more.
        layout: ``brats2018`` or ``brats2023``.
        site_strength: how much the sites' scanners differ, from 0 (not at all) to 1.
        validation_lists: ``shared``, or ``per_site`` for validation cases of each site's own (site-All has all).

    Raises:
        InputError: an argument is out of its range, or something would be overwritten.
    """
    _check_arguments(sites, cases, validation, size, seed, layout)
    _check_sites(site_strength, validation_lists)
    _check_targets(out, datalist)
    profiles = tuple(site_profile(seed, site, site_strength) for site in range(sites))
    phantoms = Phantoms(size, seed, layout, profiles)
    own = validation_lists == "per_site"
    with staging_folder(out) as stage:
        validating = [_write_case(stage, phantoms, i) for i in range(validation * (sites if own else 1))]
        first = len(validating)
        every = [_write_case(stage, phantoms, i, first) for i in range(sites * cases)]
        training = {f"site-{i + 1}": every[i::sites] for i in range(sites)}
        inside = datalist.resolve().is_relative_to(out.resolve())
        lists = stage / datalist.resolve().relative_to(out.resolve()) if inside else datalist
        parts = {site: validating[i::sites] for i, site in enumerate(training)} if own else validating
        write_site_lists(lists, training, parts, stage, LABEL_SCHEMES[layout].name)
        facts = {"sites": sites, "cases": cases, "validation": validation, "size": size, "seed": seed, "layout": layout}
        document = {
            "what": "synthetic phantom, no patient data",
            **facts,
            "site_strength": site_strength,
            "validation_lists": validation_lists,
            "profiles": {site: asdict(profile) for site, profile in zip(training, profiles, strict=True)},
        }
        (stage / PHANTOM_MARKER).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        stage.rename(out.resolve())


def is_phantom(dataset: Path) -> bool:
    """True where a dataset folder holds phantoms, so that no result on it is taken for one on patients."""
    return (dataset / PHANTOM_MARKER).is_file()


def dataset_title(dataset: Path) -> str:
    """A dataset folder's name, and whether it is made of phantoms."""
    return f"{dataset.name} ({PHANTOMS})" if is_phantom(dataset) else dataset.name


def phantom_case(
    content: np.random.Generator,
    imaging: np.random.Generator,
    size: Size,
    enhancing: bool = True,
    scheme: LabelScheme = LABEL_SCHEMES["brats2018"],
    profile: SiteProfile = COMMON,
) -> tuple[Volume, NDArray[np.uint8]]:
    """One synthetic case.

    Args:
        content: the randomness of anatomy and tumour.
        imaging: the randomness of the pictures.
        size: (X, Y, Z) in voxels.
        enhancing: whether the tumour has an enhancing part; without one the whole core is necrotic.
        scheme: gives the label of the enhancing part.
        profile: the scanner.

    Returns:
        Images (4, X, Y, Z) in the order of ``MODALITIES``, whole numbers from 0 to at most 32767, 0 exactly outside
        the brain and at least 1 inside; and the label (X, Y, Z). The tumour is inside the brain.
    """
    tissues = random_anatomy(content, size)
    tumour = random_glioma(content, tissues, scheme.enhancing if enhancing else NECROSIS)
    return image_case(imaging, tissues, tumour, scheme.enhancing, profile), tumour


def _write_case(root: Path, phantoms: Phantoms, index: int, first: int = 0) -> CaseFiles:
    """Make and write the case ``index`` (from 0) of those that follow the ``first`` ones; the sites take turns."""
    naming, scheme = NAMINGS[phantoms.layout], LABEL_SCHEMES[phantoms.layout]
    number, site = first + index + 1, index % len(phantoms.profiles)
    enhancing = number % WITHOUT_ENHANCING_EVERY != 0
    content, imaging = (np.random.default_rng([phantoms.seed, number, use]) for use in (CONTENT, IMAGING))
    images, label = phantom_case(content, imaging, phantoms.size, enhancing, scheme, phantoms.profiles[site])
    if phantoms.layout == "brats2018":
        width = len(str(len(phantoms.profiles)))  # so that the alphabet keeps the sites' order
        name = f"Brats18_PHANTOM{site + 1:0{width}d}_{number:03d}_1"
        folder = root / "training" / ("HGG" if enhancing else "LGG") / name
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
    check_counts(sites, cases, validation, seed)
    if len(size) != 3 or any(not SMALLEST <= n <= LARGEST for n in size):
        raise InputError(f"size is {tuple(size)}; give three numbers of voxels, each from {SMALLEST} to {LARGEST}.")
    if layout not in NAMINGS:
        raise InputError(f"The layout {layout!r} is not known; choose one of {', '.join(NAMINGS)}.")


def check_counts(sites: int, cases: int, validation: int, seed: int) -> None:
    """Refuse what no demonstration has.

    Raises:
        InputError: a number is out of its range.
    """
    for name, value, most in (("sites", sites, 10_000), ("cases", cases, 10_000), ("validation", validation, 10_000)):
        expect_between(name, value, 1, most)
    expect_between("seed", seed, 0, 2**32 - 1)


def made_once(folder: Path, write: Callable[[], None]) -> None:
    """Have a demonstration's dataset written, unless it is there.

    Args:
        folder: of the dataset; must be empty or absent, or hold phantoms.
        write: writes it and puts it in place in one step.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    if is_phantom(folder):
        return
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(
            f"{folder} is not an empty folder; nothing is overwritten: choose another folder or remove it."
        )
    try:
        write()
    except OSError as error:
        if not is_phantom(folder):  # unless another run was quicker
            raise InputError(f"No phantoms can be made in {folder} ({in_words(error)}); name a dataset.") from error


def _check_sites(site_strength: float, validation_lists: str) -> None:
    if not 0 <= site_strength <= 1:
        raise InputError(f"site_strength is {site_strength}; give a number from 0 (sites are alike) to 1.")
    if validation_lists not in VALIDATION_LISTS:
        raise InputError(f"validation_lists is {validation_lists!r}; choose one of {', '.join(VALIDATION_LISTS)}.")


def _check_targets(out: Path, datalist: Path) -> None:
    """Refuse before any work when something would be overwritten or the dataset could not be moved into place."""
    if out.is_mount():
        raise InputError(f"{out} is a mount point and cannot be put in place in one step; give a folder inside it.")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} is not an empty folder; nothing is overwritten: choose another folder or remove it.")
    if datalist.exists() and not datalist.is_dir():
        raise InputError(f"{datalist} is a file; give a folder for the lists.")
    there = [path.name for path in lists_in(datalist)]
    if there:
        raise InputError(
            f"{datalist} already holds {', '.join(there)}; nothing is overwritten, so choose another folder for the "
            "lists or remove them."
        )
