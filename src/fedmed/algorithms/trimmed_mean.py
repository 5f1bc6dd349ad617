"""Trimmed mean: in each coordinate without the N smallest and the N largest values (Yin et al. 2018, 1803.01498)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedmed.algorithms.robust import Combined, Robust
from fedmed.core.options import expect_between, option
from fedmed.core.settings import COUNTS
from fedmed.core.weights import Update


@dataclass(frozen=True)
class TrimmedMean(Robust):
    """A count and no share is trimmed, since a tenth of five sites would be nobody."""

    trim: int = option(1, "values that are left out at each end, in every coordinate; 0 is the uniform mean")

    TOLERATES: ClassVar[str] = "trim"

    def __post_init__(self) -> None:
        expect_between("trim", self.trim, 0, COUNTS["n_clients"])

    def rule(self, updates: Sequence[Update], weights: Sequence[float]) -> Combined:
        return middle_mean(updates, self.trim)


PLUGIN = TrimmedMean


def middle_mean(updates: Sequence[Update], trim: int) -> Combined:
    """The mean of each coordinate's values between the ``trim`` smallest and largest, and each site's share of them.

    A share is that of the coordinates in which a site's value lies between, equal ones included. Of n sites that are
    alike it is about (n - 2 trim) / n. Sums run in double precision, in the order of the values, so that the order of
    the sites changes no bit.

    Raises:
        ValueError: nobody would be left.
    """
    if len(updates) <= 2 * trim:
        raise ValueError(f"Expected more than {2 * trim} updates, of which {trim} at each end are left out.")
    mean, kept, coordinates = {}, np.zeros(len(updates)), 0
    for name, first in updates[0].items():
        values = np.stack([update[name] for update in updates])
        middle = np.sort(values, axis=0)[trim : len(updates) - trim]
        mean[name] = middle.mean(axis=0, dtype=np.float64).astype(np.asarray(first).dtype)
        between = (values >= middle[0]) & (values <= middle[-1])
        kept += between.reshape(len(updates), -1).sum(axis=1)
        coordinates += np.size(first)
    return Combined(mean, (kept / coordinates).tolist())
