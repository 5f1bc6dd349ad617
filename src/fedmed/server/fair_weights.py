"""The most that a site's own word on its size may count. Pure functions over numbers by site."""

from collections.abc import Mapping, Sequence
from typing import Any

MOST = 2**53
"""The largest number of steps or cases, up to which every whole number is a float of its own."""


def is_whole(number: Any, least: int = 1) -> bool:
    """True for a whole number of things from ``least`` to :data:`MOST`."""
    return isinstance(number, int) and not isinstance(number, bool) and least <= number <= MOST


def medians_of_others(numbers: Mapping[str, float]) -> dict[str, float]:
    """Medians of the other sites' numbers by site; nothing of a site that is alone."""
    places = sorted(numbers, key=lambda site: (numbers[site], site))
    ordered = [numbers[site] for site in places]
    return {site: _median_without(ordered, place) for place, site in enumerate(places)} if len(ordered) > 1 else {}


def _median_without(ordered: Sequence[float], place: int) -> float:
    left = len(ordered) - 1
    lower, upper = (ordered[middle + (middle >= place)] for middle in ((left - 1) // 2, left // 2))
    return (lower + upper) / 2


def capped(numbers: Mapping[str, float], ratio: float) -> dict[str, float]:
    """Each site's number, at most ``ratio`` times the median of the other sites'; as it is where the ratio is 0.

    So a site that overstates its size gains a bounded share, and one that is honestly large still takes part. One alone
    has nothing to be compared with; of two each may count as at most ``ratio`` times the other.
    """
    limits = medians_of_others(numbers) if ratio else {}
    return {site: min(number, ratio * limits[site]) if site in limits else number for site, number in numbers.items()}
