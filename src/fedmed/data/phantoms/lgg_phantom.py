"""Synthetic slices of heads with a glioma that is bright in FLAIR, at five institutions of unequal size.

In the layout of the lower-grade glioma set: a slice's channels are T1 before contrast, FLAIR, and T1 after contrast. It
is no evidence of how well a method segments real tumours.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from fedmed.core.files import staging_folder
from fedmed.core.options import expect_between
from fedmed.data.brats.brats_layout import LABEL_SCHEMES, MODALITIES, OEDEMA, PHANTOM_MARKER
from fedmed.data.lgg.head_volume import CHANNELS, FLAIR, TUMOUR
from fedmed.data.lgg.lgg_layout import TABLE, find_lgg
from fedmed.data.lgg.lgg_lists import write_lgg_lists
from fedmed.data.lgg.lgg_split import split_lgg
from fedmed.data.lgg.lgg_split_options import LggSplitOptions
from fedmed.data.lgg.scan_facts import measured_scans
from fedmed.data.phantoms.anatomy import random_anatomy
from fedmed.data.phantoms.glioma import random_glioma
from fedmed.data.phantoms.mr_contrasts import image_case
from fedmed.data.phantoms.phantom import PHANTOMS, made_once
from fedmed.data.phantoms.site_profile import SiteProfile, site_profile
from fedmed.data.phantoms.smooth_noise import Size, Volume

PATIENTS: Mapping[str, int] = {"CS": 6, "DU": 10, "EZ": 1, "FG": 5, "HT": 8}
"""The patients of each institution, whose codes are those of the real set and whose patients are made up."""

HEAD: Size = (64, 64, 64)
"""Voxels of a head, of which each slice is an axial one."""

SLICES = (6, 10)
"""Fewest and most slices of a patient."""

PLACES = (0.28, 0.72)
"""The first and the last slice, as shares of the head's height from below."""

STRENGTH = 0.5
"""The strength with which the institutions' scanners differ, see :func:`site_profile`."""

WITHOUT_POST_EVERY = 9
"""Every such patient has a copy of FLAIR in place of the contrast after."""

WHITE = 99.8
"""The percentile of a channel that is stored as 255."""

SEQUENCES = ("t1", "flair", "t1ce")
"""The phantom's contrasts behind the channels."""


def demo_lgg(folder: Path, seed: int = 0) -> None:
    """Write a synthetic dataset, and its lists by institution in ``folder/datalist``, unless it is there.

    Args:
        folder: dataset folder; must be empty or absent, or hold the dataset.
        seed: another seed gives other heads.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    expect_between("seed", seed, 0, 2**32 - 1)
    made_once(folder, lambda: _write(folder, seed))


def lgg_phantom(
    rng: np.random.Generator, profile: SiteProfile, slices: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One patient: slices (S, H, W, 3) with the front above, and masks (S, H, W) of 0 and 255.

    Args:
        rng: all randomness comes from it.
        profile: the scanner.
        slices: number of them, at even distances through the middle of the head.
    """
    head = random_anatomy(rng, HEAD)
    enhancing = LABEL_SCHEMES["brats2018"].enhancing
    tumour = random_glioma(rng, head, enhancing)
    tumour[tumour > 0] = OEDEMA  # a glioma of lower grade takes up no contrast agent and is bright in FLAIR as a whole
    contrasts = image_case(rng, head, tumour, enhancing, profile)
    places = np.linspace(*PLACES, slices) * HEAD[2]
    chosen = [contrasts[MODALITIES.index(name)] for name in SEQUENCES]
    pixels = np.stack([_as_bytes(each) for each in chosen], axis=-1)
    picture, mask = (np.stack([each[:, :, int(place)].swapaxes(0, 1) for place in places]) for each in (pixels, tumour))
    return picture, np.where(mask > 0, TUMOUR, 0).astype(np.uint8)


def _as_bytes(contrast: Volume) -> NDArray[np.uint8]:
    return np.clip(np.rint(255 * contrast / np.percentile(contrast, WHITE)), 0, 255).astype(np.uint8)


def _write(folder: Path, seed: int) -> None:
    with staging_folder(folder) as stage:
        names = []
        for place, (code, number) in enumerate(PATIENTS.items()):
            profile = site_profile(seed, place, STRENGTH)
            for patient in range(number):
                names.append(f"TCGA_{code}_{1000 * (place + 1) + patient}")
                rng = np.random.default_rng([seed, place, patient])
                picture, mask = lgg_phantom(rng, profile, int(rng.integers(*SLICES, endpoint=True)))
                if len(names) % WITHOUT_POST_EVERY == 0:
                    picture[..., CHANNELS.index("post-contrast")] = picture[..., FLAIR]
                _write_patient(stage / f"{names[-1]}_20000101", picture, mask)
        (stage / TABLE).write_text("\n".join(["Patient,tumor_location", *(f"{name}," for name in names), ""]))
        _write_lists(stage)
        profiles = {code: asdict(site_profile(seed, place, STRENGTH)) for place, code in enumerate(PATIENTS)}
        facts = {"patients": dict(PATIENTS), "seed": seed, "site_strength": STRENGTH, "profiles": profiles}
        document = {"what": "synthetic phantom, no patient data", **facts}
        (stage / PHANTOM_MARKER).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        stage.rename(folder.resolve())


def _write_patient(folder: Path, picture: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
    folder.mkdir(parents=True)
    for number, (pixels, tumour) in enumerate(zip(picture, mask, strict=True), start=1):
        PillowImage.fromarray(pixels).save(folder / f"{folder.name}_{number}.tif")
        PillowImage.fromarray(tumour).save(folder / f"{folder.name}_{number}_mask.tif")


def _write_lists(root: Path) -> None:
    options = LggSplitOptions().completed()
    patients = find_lgg(root).patients
    facts = measured_scans(patients)
    split = split_lgg(patients, options, facts)
    caption = f"{PHANTOMS}, {len(patients)} patients"
    write_lgg_lists(root / "datalist", root, split, options, facts, caption=caption, replace=False)
