"""Norm clipping: the weighted mean of updates, none longer than a bound (Sun et al. 2019, arXiv 1911.07963)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedmed.algorithms.averaging import weighted_mean
from fedmed.algorithms.robust import Combined, Robust
from fedmed.core.options import expect_positive, option
from fedmed.core.weights import Update, l2_norm


@dataclass(frozen=True)
class NormClip(Robust):
    """It bounds what a site can do in a round, and knows no number of sites that it would withstand."""

    clip_norm: float | None = option(
        None, "largest Euclidean norm of a site's update, over all trainable entries (default: the round's median norm)"
    )

    WEIGHTED: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.clip_norm is not None:
            expect_positive("clip_norm", self.clip_norm)

    def rule(self, updates: Sequence[Update], weights: Sequence[float]) -> Combined:
        factors = clip_factors([l2_norm(update) for update in updates], self.clip_norm)
        clipped = [scaled(update, factor) for update, factor in zip(updates, factors, strict=True)]
        return Combined(weighted_mean(clipped, weights), factors)

    def statement(self) -> str:
        bound = "the round's median norm" if self.clip_norm is None else f"a norm of {self.clip_norm:g}"
        return f"{self.name}: no update counts as longer than {bound}"


PLUGIN = NormClip


def clip_factors(norms: Sequence[float], bound: float | None) -> list[float]:
    """The factors, at most 1, that bring norms down to a bound; None is the median of the norms."""
    most = float(np.median(norms)) if bound is None else bound
    return [most / norm if norm > most else 1.0 for norm in norms]


def scaled(update: Update, factor: float) -> Update:
    """An update times a factor, in its own types; the update itself where that is 1."""
    if factor == 1:
        return update
    return {name: (np.asarray(values, np.float64) * factor).astype(values.dtype) for name, values in update.items()}
