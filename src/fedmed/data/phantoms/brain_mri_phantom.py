"""Synthetic MR pictures of heads with a glioma, a meningioma, a pituitary tumour or none, at three made-up hospitals.

Slices through the anatomy phantom, with tumours that differ where real ones do: a glioma is irregular and grows in
white matter with a bright rim, a meningioma is round and sits on the brain's surface, a pituitary tumour is small and
lies in the middle below. It is no evidence of how well a method classifies patients.
"""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from scipy import ndimage

from fedmed.core.files import staging_folder
from fedmed.data.brain_mri.classes import CLASSES
from fedmed.data.brats.brats_layout import PHANTOM_MARKER
from fedmed.data.datalist import TEST_LIST, TESTING, list_json
from fedmed.data.phantoms.anatomy import Tissues, random_anatomy
from fedmed.data.phantoms.mr_contrasts import ENHANCED, FLUID, GREY, NECROTIC, UNIT, WHITE
from fedmed.data.phantoms.phantom import check_counts, made_once
from fedmed.data.phantoms.site_profile import SiteProfile, site_profile
from fedmed.data.phantoms.smooth_noise import Mask, smooth_noise
from fedmed.data.splits.site_lists import write_site_lists

HEAD = (96, 116, 90)
"""Voxels of a head, of which each picture is one axial slice."""

SLICES = {"pituitary": (35, 41)}
"""The first and last slice, from below, in which a tumour of a class may lie."""
ANY_SLICE = (35, 64)

STRENGTH = 0.5
"""The strength with which the hospitals' scanners differ, see :func:`site_profile`."""

SCALP, BONE = 700.0, 60.0
"""Mean intensities, in the units of ``mr_contrasts``."""

Picture = NDArray[np.float32]


@dataclass(frozen=True)
class MadeUpHospital:
    """A hospital of the demonstration: the form of its pictures, and its folder for each class."""

    name: str
    folder: str
    class_folders: Mapping[str, str]
    city: str
    edge: int  # pixels of a picture's longer edge
    mode: str  # Pillow's: L or RGB
    ending: str


HOSPITALS = (
    MadeUpHospital(
        "Hill Hospital",
        "hill_hospital",
        {"glioma": "glioma", "meningioma": "meningioma", "no_tumor": "no tumour", "pituitary": "pituitary tumor"},
        *("Hilltown", 116, "L", ".png"),
    ),
    MadeUpHospital(
        "Lake Clinic",
        "lake_clinic",
        {
            "glioma": "brain_glioma",
            "meningioma": "brain_menin",
            "no_tumor": "healthy",
            "pituitary": "brain_pituitary",
        },
        *("Lakeside", 160, "RGB", ".jpg"),
    ),
    MadeUpHospital(
        "Harbour Infirmary",
        "harbour/mr",
        {"glioma": "1_Glioma", "meningioma": "2_Meningioma", "no_tumor": "notumor", "pituitary": "3_Pituitary"},
        *("Harbourton", 128, "L", ".jpg"),
    ),
)


@dataclass(frozen=True)
class PhantomPicture:
    """A picture on disk; the head of which it is a slice stands in the patient's place."""

    path: Path
    label: str
    patient: str

    @property
    def name(self) -> str:
        return self.path.stem

    def entry(self, root: Path) -> dict[str, Any]:
        """The picture as an entry of a datalist, with its path relative to ``root`` (which must hold it)."""
        return {"image": self.path.relative_to(root).as_posix(), "label": self.label, "patient": self.patient}


def demo_brain_mri(
    folder: Path, sites: int = 3, cases: int = 12, validation: int = 4, test: int = 4, seed: int = 0
) -> None:
    """Write a synthetic dataset of hospitals with its ``hospitals.json``, and its lists in ``folder/datalist``.

    Nothing is done where it is there.

    Args:
        folder: dataset folder; must be empty or absent, or hold the dataset.
        sites: number of hospitals; those beyond three are further ones of the same kinds.
        cases: heads of each hospital in training; each gives a picture a class.
        validation: heads of each hospital in validation.
        test: heads of each hospital on which nothing is trained or validated.
        seed: another seed gives other heads.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    check_counts(sites, cases, validation, seed)
    check_counts(sites, test, validation, seed)
    made_once(folder, lambda: _write(folder, _hospitals(sites), (cases, validation, test), seed))


def brain_mri_phantom(rng: np.random.Generator, head: Tissues, kind: str, profile: SiteProfile) -> NDArray[np.uint8]:
    """One axial slice of a head as a picture of T1 after contrast: grey (H, W), the front above.

    Args:
        rng: the randomness of slice, tumour and picture.
        head: the anatomy (X, Y, Z).
        kind: one of ``CLASSES``.
        profile: the scanner.
    """
    place = int(rng.integers(*SLICES.get(kind, ANY_SLICE), endpoint=True))
    brain, grey, white, vessel = head.brain, head.grey, head.white, head.vessel
    flat = Tissues(brain[:, :, place].T, grey[:, :, place].T, white[:, :, place].T, vessel[:, :, place].T)
    means = _head_means(rng, flat, profile)
    if kind in TUMOURS:
        means = TUMOURS[kind](rng, means, flat, profile.lesion_contrast[0])
    return _acquired(rng, means, profile)


def _head_means(rng: np.random.Generator, flat: Tissues, profile: SiteProfile) -> Picture:
    """The mean intensity of each pixel of a healthy head: brain, bone and scalp, 0 in the air."""
    middle, half = (GREY[0] + WHITE[0]) / 2, profile.tissue_contrast[0] * (GREY[0] - WHITE[0]) / 2
    brain = (middle + half) * flat.grey + (middle - half) * flat.white + FLUID[0] * flat.fluid
    hull = ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(flat.brain, 12), iterations=10))[12:-12, 12:-12]
    outside = ndimage.distance_transform_edt(~hull)
    bone, scalp = 2.0, rng.uniform(4.0, 5.5)
    means = np.where(outside <= bone, brain, 0.0)
    means[(outside > bone) & (outside <= scalp)] = BONE
    means[(outside > scalp) & (outside <= scalp + rng.uniform(1.5, 3.0))] = SCALP
    return np.asarray(means, dtype=np.float32)


def _glioma(rng: np.random.Generator, means: Picture, flat: Tissues, contrast: float) -> Picture:
    """Irregular, in white matter: a dark swelling, a bright rim and a dead middle."""
    room = ndimage.binary_erosion(flat.brain, iterations=9) & (flat.white > 0.5)
    radius = rng.uniform(8, 13)
    away = _distance(means, _drawn(rng, room if room.any() else flat.brain)) / radius
    away = away * np.exp(np.clip(0.22 * smooth_noise(rng, means.shape, 0.7 * radius), -0.4, 0.4))
    painted = means.copy()
    painted[(away < 1.4) & flat.brain] *= 0.8
    painted[(away < 1) & flat.brain] = _bright(rng, contrast)
    painted[(away < rng.uniform(0.5, 0.7)) & flat.brain] = NECROTIC[0]
    return painted


def _meningioma(rng: np.random.Generator, means: Picture, flat: Tissues, contrast: float) -> Picture:
    """Round and even, on the brain's surface, which it pushes in."""
    surface = flat.brain & ~ndimage.binary_erosion(flat.brain)
    away = _distance(means, _drawn(rng, surface)) / rng.uniform(8, 13)
    painted = means.copy()
    painted[(away < 1) & ndimage.binary_dilation(flat.brain, iterations=2)] = _bright(rng, contrast)
    return painted


def _pituitary(rng: np.random.Generator, means: Picture, flat: Tissues, contrast: float) -> Picture:
    """Small and round, in the middle, a third of the way from the front."""
    rows, columns = np.nonzero(flat.brain)
    front, length = rows.min(), rows.max() - rows.min()
    centre = (front + rng.uniform(0.33, 0.42) * length, columns.mean() + rng.uniform(-1.5, 1.5))
    painted = means.copy()
    painted[_distance(means, centre) < rng.uniform(5, 8.5)] = _bright(rng, contrast)
    return painted


TUMOURS: Mapping[str, Callable[[np.random.Generator, Picture, Tissues, float], Picture]] = {
    "glioma": _glioma,
    "meningioma": _meningioma,
    "pituitary": _pituitary,
}
"""By class: gives the means of a slice with its tumour."""


def _bright(rng: np.random.Generator, contrast: float) -> float:
    """The mean of a tumour that takes up contrast agent."""
    return WHITE[0] + max(contrast, 0.7) * (ENHANCED[0] * rng.normal(1, 0.06) - WHITE[0])


def _drawn(rng: np.random.Generator, room: Mask) -> tuple[float, float]:
    places = np.argwhere(room)
    row, column = places[rng.integers(len(places))]
    return float(row), float(column)


def _distance(means: Picture, centre: Sequence[float]) -> Picture:
    """Pixels from a place, (H, W)."""
    rows, columns = np.ogrid[: means.shape[0], : means.shape[1]]
    return np.asarray(np.hypot(rows - centre[0], columns - centre[1]), dtype=np.float32)


def _acquired(rng: np.random.Generator, means: Picture, profile: SiteProfile) -> NDArray[np.uint8]:
    """The scanner's picture: contrast curve, shading, blur, noise of a magnitude (Rician), and its own grey scale."""
    signal = UNIT * (means / UNIT) ** np.float32(profile.gamma)
    signal *= np.exp(profile.bias * smooth_noise(rng, means.shape, 50))
    signal = ndimage.gaussian_filter(signal, profile.blur)
    real, imaginary = 0.5 * profile.noise * rng.standard_normal((2, *means.shape))
    seen = np.hypot(signal + real, imaginary)
    white = np.percentile(seen, rng.uniform(99.3, 99.9))
    return np.clip(np.rint(255 * seen / white), 0, 255).astype(np.uint8)


def _hospitals(number: int) -> list[MadeUpHospital]:
    """The hospitals by turns; from the fourth on with a number."""
    found = []
    for place in range(number):
        kind, turn = HOSPITALS[place % len(HOSPITALS)], place // len(HOSPITALS)
        suffix = f" {turn + 1}" if turn else ""
        folder = kind.folder + suffix.replace(" ", "_")
        found.append(
            MadeUpHospital(
                kind.name + suffix, folder, kind.class_folders, kind.city + suffix, kind.edge, kind.mode, kind.ending
            )
        )
    return found


def _write(folder: Path, hospitals: Sequence[MadeUpHospital], heads: tuple[int, int, int], seed: int) -> None:
    with staging_folder(folder) as stage:
        parts: list[dict[str, list[PhantomPicture]]] = [{}, {}, {}]
        for place, hospital in enumerate(hospitals):
            pictures = iter(_hospital_heads(stage, hospital, place, sum(heads), seed))
            for part, number in zip(parts, heads, strict=True):
                part[f"site-{place + 1}"] = [picture for _ in range(number) for picture in next(pictures)]
        training, validation, test = parts
        stated = {f"site-{place + 1}": {"hospital": _stated(hospital)} for place, hospital in enumerate(hospitals)}
        every = [picture for pictures in test.values() for picture in pictures]
        held_out = {TEST_LIST: list_json({TESTING: [picture.entry(stage) for picture in every]})}
        write_site_lists(stage / "datalist", training, validation, stage, besides=held_out, testing=test, facts=stated)
        (stage / "hospitals.json").write_text(_json([_document(hospital) for hospital in hospitals]), encoding="utf-8")
        facts = {"sites": len(hospitals), "heads": heads, "seed": seed, "hospitals": [*map(asdict, hospitals)]}
        (stage / PHANTOM_MARKER).write_text(_json({"what": "synthetic phantom, no patient data", **facts}))
        stage.rename(folder.resolve())


def _hospital_heads(
    root: Path, hospital: MadeUpHospital, place: int, heads: int, seed: int
) -> list[list[PhantomPicture]]:
    """The pictures of each head of a hospital, one a class."""
    profile = site_profile(seed, place, STRENGTH)
    found = []
    for number in range(heads):
        rng = np.random.default_rng([seed, place, number])
        head = random_anatomy(rng, HEAD)
        found.append([_written(root, hospital, number, kind, brain_mri_phantom(rng, head, kind, profile))
                      for kind in CLASSES])  # fmt: skip
    return found


def _written(root: Path, hospital: MadeUpHospital, number: int, kind: str, pixels: NDArray[np.uint8]) -> PhantomPicture:
    """A picture in the hospital's form and place."""
    folder = root / hospital.folder / hospital.class_folders[kind]
    folder.mkdir(parents=True, exist_ok=True)
    short = Path(hospital.folder).parts[0].split("_")[0]
    head = f"{short}-{number + 1:03d}"
    path = folder / f"{head}-{CLASSES.index(kind) + 1}{hospital.ending}"
    scale = hospital.edge / max(pixels.shape)
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    content = io.BytesIO()
    picture = PillowImage.fromarray(pixels).resize(size, PillowImage.Resampling.BICUBIC).convert(hospital.mode)
    picture.save(content, {".png": "png", ".jpg": "jpeg"}[hospital.ending])
    path.write_bytes(content.getvalue())
    return PhantomPicture(path, kind, head)


def _document(hospital: MadeUpHospital) -> dict[str, Any]:
    """The hospital's entry in ``hospitals.json``."""
    class_map = {folder: kind for kind, folder in hospital.class_folders.items()}
    return {
        "name": hospital.name, "folder": hospital.folder, "class_map": class_map, "location": _location(hospital),
        "fictional": True,
    }  # fmt: skip


def _stated(hospital: MadeUpHospital) -> dict[str, Any]:
    """The facts that the list of the hospital's site states of it."""
    return {"name": hospital.name, **_location(hospital), "fictional": True}


def _location(hospital: MadeUpHospital) -> dict[str, Any]:
    return {"city": hospital.city, "country": "made up", "latitude": 0.0, "longitude": 0.0}


def _json(document: Any) -> str:
    return json.dumps(document, indent=2) + "\n"
