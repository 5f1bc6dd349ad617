"""Imaging: contrasts as in MR, and each setting of a profile does what it says."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from fedmed.data.phantoms.anatomy import Tissues, random_anatomy
from fedmed.data.phantoms.glioma import random_glioma
from fedmed.data.phantoms.mr_contrasts import image_case
from fedmed.data.phantoms.site_profile import SiteProfile

SIZE = (64, 64, 52)
T1CE, T1, T2, FLAIR = range(4)
CLEAN = SiteProfile(noise=1e-3, bias=1e-6)


@pytest.fixture(scope="module")
def patient() -> tuple[Tissues, NDArray[np.uint8]]:
    rng = np.random.default_rng(5)
    tissues = random_anatomy(rng, SIZE)
    return tissues, random_glioma(rng, tissues, 4)


def images(patient: tuple[Tissues, NDArray[np.uint8]], profile: SiteProfile = CLEAN, seed: int = 0) -> Any:
    return image_case(np.random.default_rng(seed), *patient, 4, profile)


def means(patient: tuple[Tissues, NDArray[np.uint8]], pictured: Any) -> dict[str, Any]:
    """The mean of each tissue in each modality."""
    tissues, tumour = patient
    healthy = tissues.brain & (tumour == 0) & ~tissues.vessel
    deep = binary_erosion(tissues.brain, iterations=4)
    where = {
        "grey": healthy & (tissues.grey > 0.85),
        "white": healthy & (tissues.white > 0.9),
        "fluid": healthy & deep & (tissues.fluid > 0.8),
        "necrosis": tumour == 1,
        "oedema": tumour == 2,
        "rim": tumour == 4,
    }
    return {name: pictured[:, mask].mean(axis=1) for name, mask in where.items()}


def spread(patient: tuple[Tissues, NDArray[np.uint8]], pictured: Any) -> float:
    tissues, tumour = patient
    return float(np.diff(pictured[T1], axis=0)[(binary_erosion(tissues.brain) & (tumour == 0))[1:]].std())


def test_contrasts_are_those_of_mr(patient: tuple[Tissues, NDArray[np.uint8]]) -> None:
    found = means(patient, images(patient, SiteProfile()))
    assert found["fluid"][T1] < found["grey"][T1] < found["white"][T1]
    assert found["white"][T2] < found["grey"][T2] < found["fluid"][T2]
    assert found["fluid"][FLAIR] < found["white"][FLAIR] < found["grey"][FLAIR]
    assert found["rim"][T1CE] > 1.3 * found["white"][T1CE]
    assert found["rim"][T1] < found["white"][T1]
    assert found["oedema"][[T2, FLAIR]].min() > 1
    assert (found["oedema"][[T2, FLAIR]] > 1.3 * found["white"][[T2, FLAIR]]).all()
    assert found["oedema"][T1] < found["white"][T1]
    assert found["necrosis"][[T1CE, T1]].max() < found["oedema"][[T1CE, T1]].min()


def test_zero_outside_the_brain_only(patient: tuple[Tissues, NDArray[np.uint8]]) -> None:
    for profile in (SiteProfile(), SiteProfile(gain=0.4, noise=90, gamma=1.7), SiteProfile(gain=2.5, gamma=0.6)):
        pictured = images(patient, profile)
        assert pictured.shape == (4, *SIZE)
        assert np.array_equal(pictured > 0, np.broadcast_to(patient[0].brain, pictured.shape))
        assert np.array_equal(pictured, pictured.astype(np.int16))


def test_gain_multiplies(patient: tuple[Tissues, NDArray[np.uint8]]) -> None:
    once, twice = images(patient), images(patient, replace(CLEAN, gain=2.0))
    assert np.allclose(twice, 2 * once, atol=1.01)


def test_noise_has_its_standard_deviation(patient: tuple[Tissues, NDArray[np.uint8]]) -> None:
    """Of Rician noise where the signal is much stronger; the gain of the case applies to both."""
    clean = images(patient, replace(CLEAN, noise=1e-3))
    noisy = images(patient, replace(CLEAN, noise=30.0))
    bright = patient[0].white > 0.95
    differences = (noisy[T1] - clean[T1])[bright]
    assert 30 * 0.8 * 0.9 < differences.std() < 30 * 1.25 * 1.1


def test_bias_shades_slowly(patient: tuple[Tissues, NDArray[np.uint8]]) -> None:
    flat, shaded = images(patient), images(patient, replace(CLEAN, bias=0.2))
    ratio = (shaded / np.maximum(flat, 1))[T1]
    inside = binary_erosion(patient[0].brain, iterations=2)
    assert np.log(ratio[inside]).std() > 0.05
    assert np.abs(np.diff(np.log(ratio[inside[:, 32, 26], 32, 26]))).max() < 0.05


def test_blur_and_thick_slices_take_detail_away(patient: tuple[Tissues, NDArray[np.uint8]]) -> None:
    sharp = images(patient, replace(CLEAN, blur=0.4))
    assert spread(patient, images(patient, replace(CLEAN, blur=1.2))) < 0.7 * spread(patient, sharp)
    thick = images(patient, replace(CLEAN, blur=0.4, slice_thickness=4.0))
    inside = binary_erosion(patient[0].brain, iterations=3)[:, :, 1:-1]
    bends = [np.abs(np.diff(pictured[T2], n=2, axis=2))[inside].mean() for pictured in (sharp, thick)]
    assert bends[1] < 0.5 * bends[0]


def test_gamma_bends_the_contrast_and_keeps_the_order(patient: tuple[Tissues, NDArray[np.uint8]]) -> None:
    flat, steep = (means(patient, images(patient, replace(CLEAN, gamma=gamma))) for gamma in (0.6, 1.7))
    assert flat["white"][T1] / flat["grey"][T1] < steep["white"][T1] / steep["grey"][T1]
    assert flat["white"][T1] > flat["grey"][T1] > flat["fluid"][T1]


@pytest.mark.parametrize("channel", range(4))
def test_contrasts_of_tissue_and_lesion_are_of_one_modality(
    patient: tuple[Tissues, NDArray[np.uint8]], channel: int
) -> None:
    ones = [1.0] * 4
    ones[channel] = 0.4
    usual = means(patient, images(patient))
    tissue = means(patient, images(patient, replace(CLEAN, tissue_contrast=tuple(ones))))
    lesion = means(patient, images(patient, replace(CLEAN, lesion_contrast=tuple(ones))))

    def apart(found: dict[str, Any], one: str, other: str) -> Any:
        return np.abs(found[one] / found[other] - 1)

    others = [i for i in range(4) if i != channel]
    assert apart(tissue, "grey", "white")[channel] < 0.7 * apart(usual, "grey", "white")[channel]
    assert np.allclose(apart(tissue, "grey", "white")[others], apart(usual, "grey", "white")[others])
    assert apart(lesion, "oedema", "white")[channel] < 0.8 * apart(usual, "oedema", "white")[channel]
    assert np.allclose(apart(lesion, "oedema", "white")[others], apart(usual, "oedema", "white")[others])


def test_no_single_threshold_finds_the_tumour() -> None:
    """One threshold on one standardized contrast leaves the mean Dice of the whole tumour and of the rim below 0.9."""
    patients = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        tissues = random_anatomy(rng, SIZE)
        patients.append((tissues, random_glioma(rng, tissues, 4)))
    pictured = [images(patient, SiteProfile(), seed) for seed, patient in enumerate(patients)]
    for channel in range(4):
        for wanted in ((1, 2, 4), (4,)):
            dice: list[list[float]] = [[] for _ in range(30)]
            for (_, label), image in zip(patients, pictured, strict=True):
                truth, seen = np.isin(label, wanted), image[channel]
                inside = seen[seen > 0]
                for i, threshold in enumerate(np.linspace(-1, 5, 30)):
                    found = seen > max(0, inside.mean() + threshold * inside.std())
                    dice[i].append(2 * (found & truth).sum() / (found.sum() + truth.sum()))
            assert max(np.mean(scores) for scores in dice) < 0.9, (channel, wanted)
