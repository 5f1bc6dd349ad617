"""Attacks on the updates of a round, for study. Pure functions over arrays, computed in double precision.

They act at the server, after the guards and just before the updates are combined, and know all honest updates of the
round. Steps, cases, running statistics and extras stay those of the site's own honest training.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fedmed.algorithms.base import Contribution
from fedmed.algorithms.krum import squared_distances
from fedmed.core.attack import Attack
from fedmed.core.weights import Update, l2_norm

Arrays = dict[str, np.ndarray]


def forged_updates(attack: Attack, contributions: Sequence[Contribution], seeds: Sequence[int]) -> dict[str, Update]:
    """The updates that attackers among a round's sites put in the place of theirs, by site, in their own types.

    Where no honest site has answered, an attack that is made of honest updates forges none.

    Args:
        seeds: of the run and of the round; with a site's name they seed its random numbers.
    """
    attackers, honest = _told_apart(attack, contributions)
    if attack.attack in OF_ITS_OWN:
        forge = OF_ITS_OWN[attack.attack]
        found = [forge(each.update, attack.strength, generator_of(seeds, each.site)) for each in attackers]
    elif attack.attack in OF_HONEST and honest:
        found = [OF_HONEST[attack.attack](honest, attack.strength)] * len(attackers)
    else:
        return {}
    return {each.site: _in_types_of(each.update, update) for each, update in zip(attackers, found, strict=True)}


def _told_apart(attack: Attack, contributions: Sequence[Contribution]) -> tuple[list[Contribution], list[Update]]:
    """The contributions of attackers, and the updates of the others."""
    attackers = [each for each in contributions if each.site in attack.sites]
    return attackers, [each.update for each in contributions if each.site not in attack.sites]


def generator_of(seeds: Sequence[int], site: str) -> np.random.Generator:
    """The random numbers of a site's attack in a round."""
    return np.random.default_rng([*seeds, *b"attack", *site.encode()])


def sign_flip(update: Update, strength: float, rng: np.random.Generator) -> Arrays:
    """The update times -strength."""
    return {name: -strength * np.asarray(values, np.float64) for name, values in update.items()}


def scaled_up(update: Update, strength: float, rng: np.random.Generator) -> Arrays:
    """The update times strength."""
    return {name: strength * np.asarray(values, np.float64) for name, values in update.items()}


def gaussian_noise(update: Update, strength: float, rng: np.random.Generator) -> Arrays:
    """Isotropic noise of mean 0 instead of the update (Blanchard et al. 2017, NeurIPS), about strength times as long.

    Its standard deviation is strength times the root mean square of the update.
    """
    size = sum(np.size(values) for values in update.values())
    deviation = strength * l2_norm(update) / np.sqrt(size)
    return {name: rng.normal(0.0, 1.0, np.shape(values)) * deviation for name, values in update.items()}


def inner_product_manipulation(honest: Sequence[Update], strength: float) -> Arrays:
    """The honest updates' mean times -strength (Xie et al. 2019, arXiv 1903.03936)."""
    return {name: -strength * mean for name, mean in _means(honest).items()}


def a_little_is_enough(honest: Sequence[Update], strength: float) -> Arrays:
    """The honest updates' mean minus strength standard deviations, each by coordinate (Baruch et al. 2019, 1902.06156).

    The deviation is the root of the mean square, over n and not n - 1.
    """
    deviations = _deviations(honest)
    return {name: mean - strength * deviations[name] for name, mean in _means(honest).items()}


def min_max(honest: Sequence[Update], strength: float) -> Arrays:
    """The honest updates' mean, led away against their standard deviations as far as no honest update is farther from
    it than two honest ones are from each other (Shejwalkar and Houmansadr 2021, NDSS).

    The distance is found in closed form instead of by bisection. ``strength`` is not used.
    """
    means, away = _means(honest), {name: -values for name, values in _deviations(honest).items()}
    length, widest = l2_norm(away) ** 2, float(squared_distances(honest).max())
    if length == 0:
        return means
    far = min(_root(length, _to_mean(means, away, each), widest) for each in honest)
    return {name: mean + far * away[name] for name, mean in means.items()}


def _to_mean(means: Update, away: Update, update: Update) -> tuple[float, float]:
    """The product of a direction with the way from an update to the mean, and that way's squared length."""
    way = {name: mean - np.asarray(update[name], np.float64) for name, mean in means.items()}
    return sum(float(np.sum(away[name] * values)) for name, values in way.items()), l2_norm(way) ** 2


def _root(length: float, to_mean: tuple[float, float], widest: float) -> float:
    """The largest x with length x^2 + 2 along x + square <= widest, at least 0."""
    along, square = to_mean
    return max(0.0, (np.sqrt(max(0.0, along**2 - length * (square - widest))) - along) / length)


def _means(updates: Sequence[Update]) -> Arrays:
    return {name: _values(updates, name).mean(axis=0) for name in updates[0]}


def _deviations(updates: Sequence[Update]) -> Arrays:
    return {name: _values(updates, name).std(axis=0) for name in updates[0]}


def _values(updates: Sequence[Update], name: str) -> np.ndarray:
    """The updates' values (n, ...) of an entry."""
    return np.stack([np.asarray(each[name], np.float64) for each in updates])


def _in_types_of(update: Update, forged: Update) -> Arrays:
    return {name: np.asarray(forged[name]).astype(np.asarray(values).dtype) for name, values in update.items()}


OF_ITS_OWN: Mapping[str, Callable[[Update, float, np.random.Generator], Arrays]] = {
    "sign_flip": sign_flip,
    "scaled": scaled_up,
    "gaussian": gaussian_noise,
}
"""Attacks that are made of the attacker's own honest update."""

OF_HONEST: Mapping[str, Callable[[Sequence[Update], float], Arrays]] = {
    "ipm": inner_product_manipulation,
    "alie": a_little_is_enough,
    "min_max": min_max,
}
"""Attacks that are made of the honest sites' updates; all attackers send the same."""
