"""Random updates of sites, and rules of all kinds, for tests of rules that stand up to harmful updates."""

from collections.abc import Sequence

import numpy as np

from fedmed.algorithms.base import Contribution, ServerSetup
from fedmed.algorithms.geometric_median import GeometricMedian
from fedmed.algorithms.krum import Krum
from fedmed.algorithms.median import Median
from fedmed.algorithms.multi_krum import MultiKrum
from fedmed.algorithms.norm_clip import NormClip
from fedmed.algorithms.robust import Robust
from fedmed.algorithms.trimmed_mean import TrimmedMean

Arrays = dict[str, np.ndarray]

RULES: list[Robust] = [Median(), TrimmedMean(), GeometricMedian(), Krum(), MultiKrum(), NormClip()]
SETUP = ServerSetup({"w": (2, 3), "b": (2,)}, 1, 5)


def random_updates(number: int, seed: int, kind: type = np.float64, size: float = 1.0) -> list[Arrays]:
    rng = np.random.default_rng(seed)
    shapes = {"w": (2, 3), "b": (2,)}
    return [
        {name: (size * rng.normal(1.0, 1.0, shape)).astype(kind) for name, shape in shapes.items()}
        for _ in range(number)
    ]


def flat(update: Arrays) -> np.ndarray:
    """All values of an update in one row."""
    return np.concatenate([np.asarray(values, np.float64).reshape(-1) for values in update.values()])


def contributions_of(updates: Sequence[Arrays], steps: Sequence[float] | None = None) -> list[Contribution]:
    """Contributions of site-1, site-2 and so on, of ten cases each."""
    steps = steps or [10.0] * len(updates)
    return [
        Contribution(f"site-{number}", update, count, 10.0)
        for number, (update, count) in enumerate(zip(updates, steps, strict=True), start=1)
    ]
