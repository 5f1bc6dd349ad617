"""What a site tells of its figures, and their means over cases and sites. Pure functions; nothing here needs MONAI,
which takes a server seconds to import."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def mean_of_values(values: Iterable[float]) -> float | None:
    """The mean of those that are not NaN; None when there is none."""
    finite = [value for value in values if not math.isnan(value)]
    return sum(finite) / len(finite) if finite else None


CASES = "val_cases"
"""The metric by which a site says how many cases it scored."""

VALUES = "_values"
"""Added to a metric's name: of how many values a site's figure is the mean."""


def reported(means: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """What a site tells of the values of each metric: their mean without NaN, and of how many; nothing of none."""
    told: dict[str, float] = {}
    for name, values in means.items():
        mean = mean_of_values(values)
        if mean is not None:
            told |= {name: mean, name + VALUES: sum(not math.isnan(value) for value in values)}
    return told


def weight_of(report: Mapping[str, Any], metric: str) -> Any:
    """What a site's figure counts for among the sites: its values, where it tells them not its cases, else 1.

    Weighted by values, the mean over sites is the mean over all their values, whoever scored which case.
    """
    return report.get(metric + VALUES, report.get(CASES, 1) if metric.startswith("val_") else 1)


def mean_over_sites(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Each metric's mean over the sites that have it, weighted by :func:`weight_of`.

    Args:
        scores: metrics by site.
    """
    names = {name for site in scores.values() for name in site if name != CASES and not name.endswith(VALUES)}
    pairs = {name: [(s[name], weight_of(s, name)) for s in scores.values() if name in s] for name in names}
    return {name: _weighted_mean(each) for name, each in pairs.items() if any(weight for _, weight in each)}


def _weighted_mean(pairs: Sequence[tuple[float, float]]) -> float:
    return sum(value * weight for value, weight in pairs) / sum(weight for _, weight in pairs)
