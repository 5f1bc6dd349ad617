"""Synthetic chest films with findings drawn in, of patients of three made-up sites, in NIH's layout.

They have the difficulties of real ones in small: follow-ups, views, scanners, findings that come together or are rare.
They are no evidence of how well a method reads real films.
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from scipy import ndimage

from fedmed.core.files import staging_folder
from fedmed.data.brats.brats_layout import PHANTOM_MARKER
from fedmed.data.chest_xray.film import Film
from fedmed.data.chest_xray.findings import FINDINGS, NO_FINDING, SEPARATOR, in_order
from fedmed.data.chest_xray.thorax import Chest, random_chest
from fedmed.data.datalist import TEST_LIST, TESTING, list_json
from fedmed.data.phantoms.phantom import check_counts, made_once
from fedmed.data.phantoms.smooth_noise import smooth_noise
from fedmed.data.phantoms.thorax_findings import with_findings
from fedmed.data.splits.site_lists import write_site_lists

EDGE = 96
"""Pixels of a film's edge."""

FILMS = (1, 3)
"""Fewest and most films of a patient."""

FIRST_SHARE, TOGETHER_SHARE = 0.75, 0.4
"""The share of films with a finding; and for each of two more findings, the share of these that have it too."""

STAYS_SHARE = 0.6
"""The share of follow-ups that show the findings of the film before."""

COLUMNS = (
    "Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender", "View Position",
    "OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]",
)  # fmt: skip
"""The columns of NIH's table, as its commas divide them."""


@dataclass(frozen=True)
class FilmProfile:
    """The films of a site.

    Attributes:
        exposure: how fast brightness grows with what is absorbed.
        gamma: exponent on the brightness, 0 to 1.
        noise: standard deviation of it.
        blur: standard deviation of the point spread, in pixels.
        shading: standard deviation of slow changes of brightness.
        frame: width of a black frame in pixels.
        portable: the share of films from front to back (AP), on which the heart looks larger.
    """

    exposure: float
    gamma: float
    noise: float
    blur: float
    shading: float
    frame: int
    portable: float


PROFILES = (
    FilmProfile(1.5, 1.0, 0.02, 0.4, 0.02, 0, 0.1),
    FilmProfile(1.2, 0.8, 0.035, 0.7, 0.05, 2, 0.4),
    FilmProfile(1.9, 1.3, 0.03, 0.9, 0.08, 0, 0.8),
)
"""Of the three sites by turns: a clinic, a hospital, and one whose patients are mostly photographed in bed."""

MAGNIFIED = 1.12
"""How much larger the heart looks on a film from front to back."""


def demo_chest_xray(
    folder: Path, sites: int = 3, cases: int = 56, validation: int = 20, test: int = 20, seed: int = 0
) -> None:
    """Write a synthetic dataset in NIH's layout, and the sites' lists in ``folder/datalist``.

    Nothing is done where it is there.

    Args:
        folder: dataset folder; must be empty or absent, or hold the dataset.
        sites: number of sites; those beyond three have the scanners of the first ones again.
        cases: patients of each site in training, of one to three films each.
        validation: patients of each site in validation.
        test: patients of each site on whom nothing is trained or validated.
        seed: another seed gives other patients.

    Raises:
        InputError: a number is out of its range, or the folder holds something else or cannot be written.
    """
    check_counts(sites, cases, validation, seed)
    check_counts(sites, test, validation, seed)
    made_once(folder, lambda: _write(folder, sites, (cases, validation, test), seed))


def chest_xray_phantom(
    rng: np.random.Generator, chest: Chest, findings: Sequence[str], profile: FilmProfile, edge: int = EDGE
) -> NDArray[np.uint8]:
    """One film (``edge``, ``edge``) in grey, bright where much is absorbed, the patient's right at the left edge.

    Args:
        rng: the randomness of findings and film.
        chest: the patient.
        findings: of ``FINDINGS``.
        profile: the site's films.
        edge: in pixels.
    """
    absorbed = with_findings(rng, chest, findings, edge)
    bright = 1 - np.exp(-profile.exposure * np.clip(absorbed, 0, None))
    bright = bright**profile.gamma + profile.shading * smooth_noise(rng, bright.shape, edge / 3)
    bright = ndimage.gaussian_filter(bright, profile.blur) + profile.noise * rng.standard_normal(bright.shape)
    film = np.clip(np.rint(255 * bright), 0, 255).astype(np.uint8)
    _mark(film, rng)
    if profile.frame:
        film = np.pad(film[profile.frame : -profile.frame, profile.frame : -profile.frame], profile.frame)
    return film


def _mark(film: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Write an L, of lead, in the corner beside the patient's left shoulder."""
    size = max(4, len(film) // 16)
    top, left = int(rng.integers(size // 2, 2 * size)), len(film) - int(rng.integers(2 * size, 3 * size))
    film[top : top + size, left : left + max(1, size // 4)] = 250
    film[top + size - max(1, size // 4) : top + size, left : left + size - size // 3] = 250


def _write(folder: Path, sites: int, patients: tuple[int, int, int], seed: int) -> None:
    with staging_folder(folder) as stage:
        parts: list[dict[str, list[Film]]] = [{}, {}, {}]
        first = 1
        for place in range(sites):
            for part, number in zip(parts, patients, strict=True):
                part[f"site-{place + 1}"] = _patients(stage, place, range(first, first + number), seed)
                first += number
        training, validation, test = parts
        seen, held_out = [*_films(training), *_films(validation)], _films(test)
        _write_table(stage, [*seen, *held_out])
        _write_names(stage / "train_val_list.txt", seen)
        _write_names(stage / "test_list.txt", held_out)
        besides = {TEST_LIST: list_json({TESTING: [film.entry(stage) for film in held_out]})}
        write_site_lists(stage / "datalist", training, validation, stage, besides=besides, testing=test)
        facts = {"sites": sites, "patients": patients, "seed": seed, "profiles": [*map(asdict, PROFILES)]}
        document = {"what": "synthetic phantom, no patient data", **facts}
        (stage / PHANTOM_MARKER).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        stage.rename(folder.resolve())


def _films(parts: Mapping[str, Sequence[Film]]) -> list[Film]:
    return [film for films in parts.values() for film in films]


def _patients(root: Path, place: int, numbers: Iterable[int], seed: int) -> list[Film]:
    return [film for number in numbers for film in _patient(root, place, number, seed)]


def _patient(root: Path, place: int, number: int, seed: int) -> list[Film]:
    """The films of one patient, written to the site's folder."""
    rng = np.random.default_rng([seed, number])
    profile, chest = PROFILES[place % len(PROFILES)], random_chest(rng)
    age, sex = int(rng.integers(20, 90)), "MF"[int(rng.integers(2))]
    folder = root / f"images_{place + 1:03d}" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    findings, films = _drawn_findings(rng, number), []
    for visit in range(int(rng.integers(*FILMS, endpoint=True))):
        view = "AP" if rng.random() < profile.portable else "PA"
        seen = _posed(rng, chest, view)
        path = folder / f"{number:08d}_{visit:03d}.png"
        PillowImage.fromarray(chest_xray_phantom(rng, seen, findings, profile)).save(path)
        file = path.relative_to(root).as_posix()
        films.append(Film(path, file, findings, f"{number:08d}", view, age + visit, visit, sex))
        if rng.random() > STAYS_SHARE:
            findings = _drawn_findings(rng, number + visit + 1)
    return films


def _posed(rng: np.random.Generator, chest: Chest, view: str) -> Chest:
    """The patient as one film shows him: not quite where he stood before, the heart by the view."""
    shift = (chest.shift[0] + rng.normal(0, 0.02), chest.shift[1] + rng.normal(0, 0.02))
    heart = chest.heart * (MAGNIFIED if view == "AP" else 1)
    values = asdict(chest) | {"heart": heart, "shift": shift, "tilt": chest.tilt + rng.normal(0, 0.02)}
    return Chest(**values)


def _drawn_findings(rng: np.random.Generator, turn: int) -> tuple[str, ...]:
    """The findings of a film: often one, which go by turns so that every part has each, at times two or three."""
    if rng.random() > FIRST_SHARE:
        return ()
    others = rng.choice(FINDINGS, size=2, replace=False)[rng.random(2) < TOGETHER_SHARE]
    return in_order([FINDINGS[turn % len(FINDINGS)], *others])


def _write_table(root: Path, films: Sequence[Film]) -> None:
    with (root / "Data_Entry_2017.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for film in sorted(films, key=lambda film: film.name):
            labels = SEPARATOR.join(film.findings) or NO_FINDING
            about = (film.follow_up, int(film.patient), film.age, film.sex, film.view)
            writer.writerow((film.path.name, labels, *about, EDGE, EDGE, 4.0, 4.0))


def _write_names(path: Path, films: Sequence[Film]) -> None:
    names = sorted(film.path.name for film in films)
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
