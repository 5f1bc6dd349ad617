"""The imaging of a site's scanner: shading, gain, noise, resolution and contrast, deterministic from seed and site."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.stats import qmc

from fedmed.data.brats.brats_layout import MODALITIES


@dataclass(frozen=True)
class SiteProfile:
    """The parameters of all images of a site; the defaults are those of every site at strength 0.

    Contrasts are factors, one for each of ``MODALITIES``.
    """

    gain: float = 1.0  # factor of all intensities
    bias: float = 0.05  # standard deviation of the shading's logarithm
    noise: float = 25.0  # standard deviation of each of the two parts of Rician noise, in units of the means
    blur: float = 0.6  # standard deviation of the point spread, voxels
    slice_thickness: float = 1.0  # voxels along the last axis; resampled to the grid
    gamma: float = 1.0  # exponent on the intensities
    tissue_contrast: tuple[float, ...] = (1.0,) * len(MODALITIES)  # between grey and white matter
    lesion_contrast: tuple[float, ...] = (1.0,) * len(MODALITIES)  # between tumour (and vessels) and white matter


COMMON = SiteProfile()

RANGES: Mapping[str, tuple[float, float]] = {
    "gain": (0.4, 2.5),
    "bias": (0.03, 0.25),
    "noise": (20.0, 90.0),
    "blur": (0.4, 1.2),
    "slice_thickness": (1.0, 4.0),
    "gamma": (0.6, 1.7),
    "tissue_contrast": (0.5, 1.6),
    "lesion_contrast": (0.4, 1.5),
}
"""Between which values the sites lie at strength 1."""


def site_profile(seed: int, site: int, strength: float) -> SiteProfile:
    """The profile of a site.

    At strength 1 each value lies in its range of ``RANGES``, by a scrambled Sobol sequence: any two sites 2k and 2k+1
    take different halves of every range, and four different quarters, so that even two sites differ. In between a
    value moves from the common one, on a logarithmic scale.

    Args:
        seed: 0 or more.
        site: from 0.
        strength: 0 (all sites are alike) to 1.
    """
    names = [field.name for field in fields(SiteProfile)]
    dimensions = sum(np.size(getattr(COMMON, name)) for name in names)
    sequence = qmc.Sobol(dimensions, rng=np.random.default_rng([seed, dimensions]))
    places = iter(sequence.random_base2(site.bit_length())[site])
    values: dict[str, Any] = {}
    for name in names:
        start = getattr(COMMON, name)
        moved = [_moved(one, RANGES[name], next(places), strength) for one in np.atleast_1d(start)]
        values[name] = tuple(moved) if isinstance(start, tuple) else moved[0]
    return SiteProfile(**values)


def _moved(common: float, span: tuple[float, float], place: float, strength: float) -> float:
    """``common`` at strength 0, and at 1 the value at ``place`` (0 to 1) of the span."""
    low, high = span
    own = low * (high / low) ** place
    return float(common * (own / common) ** strength)
