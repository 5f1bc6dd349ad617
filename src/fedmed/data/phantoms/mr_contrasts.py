"""From a patient to four MR contrasts, as one site's scanner pictures them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from fedmed.data.brats.brats_layout import MODALITIES, NECROSIS, OEDEMA
from fedmed.data.phantoms.anatomy import Tissues
from fedmed.data.phantoms.site_profile import SiteProfile
from fedmed.data.phantoms.smooth_noise import Size, Volume, smooth_noise

# Mean intensities of the tissues in the order of MODALITIES (t1ce, t1, t2, flair), in the arbitrary units of MR.
GREY = (390, 380, 520, 480)
WHITE = (560, 560, 340, 370)
FLUID = (180, 170, 880, 130)
NECROTIC = (250, 250, 740, 430)
SWOLLEN = (400, 380, 680, 720)
ENHANCED = (840, 440, 580, 590)
VESSEL = (860, 480, 380, 380)

SWELLING = 0.85
"""Share of its own intensity in swollen tissue; the rest is that of the tissue itself, which shows through."""

UNIT = 1000.0
"""Intensity that a gamma leaves as it is."""


def image_case(
    rng: np.random.Generator, tissues: Tissues, tumour: NDArray[np.uint8], enhancing: int, profile: SiteProfile
) -> Volume:
    """The four contrasts of a patient.

    A patient's own share: gain, shading, noise and the tumour's brightness differ from image to image around those of
    the site.

    Args:
        rng: all randomness comes from it.
        tissues: the brain (X, Y, Z).
        tumour: label (X, Y, Z).
        enhancing: the label of the enhancing part.
        profile: the site's scanner.

    Returns:
        (4, X, Y, Z) in the order of ``MODALITIES``: whole numbers, 0 exactly outside the brain and at least 1 inside.
    """
    size: Size = tumour.shape[0], tumour.shape[1], tumour.shape[2]
    texture = 1 + 0.04 * smooth_noise(rng, size, min(size) / 16)
    images = np.zeros((len(MODALITIES), *size), dtype=np.float32)
    for channel, image in enumerate(images):
        means = _tissue_means(rng, tissues, tumour, enhancing, channel, profile) * texture
        seen = np.clip(np.rint(_acquire(rng, means, profile)), 1, np.iinfo(np.int16).max)
        image[tissues.brain] = seen[tissues.brain]
    return images


def _tissue_means(
    rng: np.random.Generator,
    tissues: Tissues,
    tumour: NDArray[np.uint8],
    enhancing: int,
    channel: int,
    profile: SiteProfile,
) -> Volume:
    """The mean intensity of each voxel in one channel, before the scanner."""
    lesions = {NECROSIS: NECROTIC[channel], OEDEMA: SWOLLEN[channel], enhancing: ENHANCED[channel]}
    white = WHITE[channel]
    contrast = profile.lesion_contrast[channel]
    brightness: Mapping[int, float] = {
        label: white + contrast * (mean * rng.normal(1, 0.06) - white) for label, mean in lesions.items()
    }
    means = _healthy_means(tissues, channel, profile.tissue_contrast[channel])
    means[tissues.vessel] = white + contrast * (VESSEL[channel] - white)
    for label, mean in brightness.items():
        own = SWELLING if label == OEDEMA else 1.0
        where = tumour == label
        means[where] = own * mean + (1 - own) * means[where]
    return means


def _healthy_means(tissues: Tissues, channel: int, contrast: float) -> Volume:
    """Each voxel's shares of the tissues' means, with grey and white matter nearer or farther than usual."""
    middle, half = (GREY[channel] + WHITE[channel]) / 2, contrast * (GREY[channel] - WHITE[channel]) / 2
    means = (middle + half) * tissues.grey + (middle - half) * tissues.white + FLUID[channel] * tissues.fluid
    return np.asarray(means, dtype=np.float32)


def _acquire(rng: np.random.Generator, means: Volume, profile: SiteProfile) -> Volume:
    """The scanner's image of mean intensities: contrast curve, shading, blur, slices with noise, and gain."""
    size: Size = means.shape[0], means.shape[1], means.shape[2]
    signal = UNIT * (means / UNIT) ** np.float32(profile.gamma)
    signal *= np.exp(profile.bias * smooth_noise(rng, size, min(size) / 2))
    signal = gaussian_filter(signal, profile.blur, truncate=2.5)
    signal = _sliced(rng, signal, profile.slice_thickness, profile.noise)
    return np.asarray(signal * profile.gain * rng.uniform(0.8, 1.25), dtype=np.float32)


def _sliced(rng: np.random.Generator, signal: Volume, thickness: float, noise: float) -> Volume:
    """Slices of ``thickness`` voxels along the last axis, each with its own noise, interpolated to the grid."""
    if thickness == 1:
        return _noisy(rng, signal, noise)
    depth = signal.shape[-1]
    averaged = gaussian_filter1d(signal, thickness / np.sqrt(12))  # the standard deviation of a slab
    at = np.linspace(0, depth - 1, max(2, round((depth - 1) / thickness) + 1))
    slices = make_interp_spline(np.arange(depth), averaged, k=1, axis=-1)(at)
    back = make_interp_spline(at, _noisy(rng, slices.astype(np.float32), noise), k=1, axis=-1)
    return np.asarray(back(np.arange(depth)), dtype=np.float32)


def _noisy(rng: np.random.Generator, signal: Volume, noise: float) -> Volume:
    """The magnitude of a complex signal with noise in both parts (Rician)."""
    real, imaginary = noise * rng.standard_normal((2, *signal.shape), dtype=np.float32)
    return np.hypot(signal + real, imaginary)
