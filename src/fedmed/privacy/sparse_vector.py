"""The sparse vector technique on an update: noisy values of entries whose noisy size is above a noisy threshold.

Li et al. 2019 (Privacy-preserving federated brain tumour segmentation), section 2.2, after Dwork and Roth 2014, section
3.6, with the split of epsilon of Lyu et al. 2017 (Understanding the sparse vector technique), section 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedmed.core.errors import InputError
from fedmed.privacy.base import PrivateUpdate

THRESHOLD = 1e-6
"""The size of a value, divided by the steps, above which it is selected, before noise."""

MOST_PASSES = 1000
"""Passes over the values that are not selected yet; two or three are enough unless there is hardly any noise."""


@dataclass(frozen=True)
class SparseVector:
    """One release.

    Attributes:
        count: values that are released, drawn with replacement from the selected ones.
        epsilon: of threshold and selection together.
        noise_setting: epsilon of each released value; larger is less noise.
        bound: at which each value, divided by the steps, is clipped.
    """

    count: int
    epsilon: float
    noise_setting: float
    bound: float

    @property
    def epsilon_threshold(self) -> float:
        """Its share of epsilon is 1 to (2 count)^(2/3) of the selection's."""
        return self.epsilon / (1.0 + (2.0 * self.count) ** (2.0 / 3.0))

    @property
    def epsilon_query(self) -> float:
        return self.epsilon - self.epsilon_threshold

    @property
    def epsilon_release(self) -> float:
        return self.count * self.noise_setting

    @property
    def epsilon_total(self) -> float:
        """Epsilon of all three parts by pure composition, at delta 0."""
        return self.epsilon_threshold + self.epsilon_query + self.epsilon_release

    def released(
        self, update: Mapping[str, np.ndarray], steps: int, source: np.random.Generator | np.random.RandomState
    ) -> PrivateUpdate:
        """The values that leave, with Laplace noise, and zeros for all others.

        Single numbers take part in the selection and leave as they are.

        Args:
            steps: of the optimiser, by which values are divided before they are clipped.
            source: of all that is random.

        Raises:
            InputError: there is so little noise that too few values are ever selected.
        """
        names = sorted(update)
        values = np.concatenate([np.asarray(update[name], np.float64).ravel() for name in names]) / steps
        values = np.clip(values, -self.bound, self.bound)
        chosen = source.choice(self._selected(np.abs(values), source), size=self.count, replace=True)
        noise = source.laplace(scale=self._scale(self.epsilon_release), size=self.count)
        sent = np.zeros_like(values)
        sent[chosen] = (values[chosen] + noise) * steps
        return _in_the_form_of(update, names, sent)

    def _selected(self, sizes: np.ndarray, source: np.random.Generator | np.random.RandomState) -> np.ndarray:
        """The places of at least ``count`` values, in order; the others are asked again until there are enough."""
        threshold = THRESHOLD + source.laplace(scale=self.bound / self.epsilon_threshold)
        selected = np.zeros(sizes.size, bool)
        for _ in range(MOST_PASSES):
            left = np.flatnonzero(~selected)
            noisy = sizes[left] + source.laplace(scale=self._scale(self.epsilon_query), size=left.size)
            selected[left[noisy >= threshold]] = True
            if selected.sum() >= self.count:
                return np.flatnonzero(selected)
        raise InputError(
            f"SVT's selection at epsilon {self.epsilon:g} has so little noise that {selected.sum()} values reach its "
            f"threshold and {self.count} are to be released; give a smaller --dp_epsilon or --dp_fraction."
        )

    def _scale(self, epsilon: float) -> float:
        """Scale of Laplace noise for ``count`` answers, each of which one value's change moves by twice the bound."""
        return 2.0 * self.bound * self.count / epsilon


def _in_the_form_of(update: Mapping[str, np.ndarray], names: list[str], flat: np.ndarray) -> PrivateUpdate:
    """All values in one row, as an update of the same names, shapes and types; single numbers are the update's own."""
    ends = np.cumsum([np.size(update[name]) for name in names])
    parts = dict(zip(names, np.split(flat, ends[:-1]), strict=True))
    return {
        name: parts[name].reshape(values.shape).astype(values.dtype) if values.ndim else values.copy()
        for name, values in update.items()
    }
