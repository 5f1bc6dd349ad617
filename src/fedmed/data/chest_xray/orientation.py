"""Is a chest film upright, and is air black on it? By its likeness to a made-up chest in eight forms.

A miniature of the film, its grey values replaced by their ranks so that exposure decides nothing, is compared with the
miniature of :class:`Thorax` at rest, turned by quarters and inverted. Nothing is learnt from patients. A mirrored film
looks like its own and is not found. What it finds on real films: dataset_chest_xray/README.md.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from scipy import ndimage
from scipy.stats import rankdata

from fedmed.data.chest_xray.thorax import Chest, Thorax

MINIATURE = 32
"""Pixels of a miniature's edge."""

SMOOTH = 1.0
"""Standard deviation in pixels by which the made-up chest is blurred, as patients differ from it in their borders."""

TURNS = ("", "turned by a quarter to the left", "upside down", "turned by a quarter to the right")
INVERTED = "inverted (air is white)"

LEAST_LEAD = 0.1
"""From so much more likeness to another form on, a film is suspicious."""

FEWEST_FILMS, LEAST_SHARE = 2, 0.03
"""A site is warned where so many of its films, and such a share of them, look to be in one wrong form.

The share is several times that of upright films that are suspicious by mistake.
"""


@dataclass(frozen=True)
class Orientation:
    """The form that a film looks most like.

    Attributes:
        turns: quarters by which it was turned to the left, 0 to 3.
        inverted: True where air is white.
        lead: how much larger its correlation with this form is than that with an upright film, 0 (upright) to 2.
    """

    turns: int
    inverted: bool
    lead: float

    @property
    def suspicious(self) -> bool:
        """True where the film had better be looked at."""
        return self.lead > LEAST_LEAD

    @property
    def form(self) -> str:
        """The form in words; "" for an upright film."""
        return " and ".join(filter(None, (TURNS[self.turns], INVERTED if self.inverted else "")))


def orientation_of(grey: NDArray[np.float32] | NDArray[np.uint8]) -> Orientation | None:
    """The form of a film (H, W), 0 for black; None where all of it is of one value."""
    small = PillowImage.fromarray(grey).resize((MINIATURE, MINIATURE), PillowImage.Resampling.BOX)
    film = _by_rank(np.asarray(small, dtype=np.float64))
    if not film.any():
        return None
    upright = [float((film * turned).sum()) for turned in _turned_chests()]
    likeness = np.array([upright, [-each for each in upright]])
    inverted, turns = np.unravel_index(likeness.argmax(), likeness.shape)
    return Orientation(int(turns), bool(inverted), float(likeness.max() - likeness[0, 0]))


def _by_rank(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ranks of values, of mean 0 and length 1; all 0 where the values are one."""
    ranks = rankdata(values).reshape(values.shape)
    ranks -= ranks.mean()
    length = np.linalg.norm(ranks)
    return np.asarray(ranks / length if length else ranks)


@cache
def _turned_chests() -> tuple[NDArray[np.float64], ...]:
    """The chest at rest, turned to the left by 0 to 3 quarters."""
    chest = ndimage.gaussian_filter(_by_rank(Thorax.of(Chest(), MINIATURE).absorbed()), SMOOTH)
    chest = (chest - chest.mean()) / np.linalg.norm(chest - chest.mean())
    return tuple(np.rot90(chest, turns) for turns in range(len(TURNS)))


def site_warnings(site: str, seen: Sequence[Orientation | None]) -> list[str]:
    """A sentence for each wrong form in which so many of a site's films look to be that it is no mistake of this check.

    Args:
        site: its name.
        seen: the forms of its films.
    """
    forms = Counter(each.form for each in seen if each is not None and each.suspicious)
    return [
        f"{100 * count / len(seen):.0f} % of the {len(seen)} films of {site} look {form}: look at them, and turn or "
        "invert the files before any training."
        for form, count in forms.most_common()
        if count >= max(FEWEST_FILMS, LEAST_SHARE * len(seen))
    ]
