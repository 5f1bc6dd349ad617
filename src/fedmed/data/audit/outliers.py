"""Cases of a site that are unlike its others, in size or in intensity.

Robust z-scores of logarithms: the distance from the median in units of the median absolute deviation (Iglewicz and
Hoaglin, How to Detect and Handle Outliers, 1993), so that one odd case does not hide itself by widening the spread.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist, median

from fedmed.data.audit.case_facts import CaseFacts
from fedmed.data.audit.finding import Finding

FEWEST_CASES = 6
"""With fewer no case stands out."""

FAR = 5.0
"""Robust z-score beyond which a case is an outlier."""

MOST_NAMES = 3
"""Largest number of far cases that are named."""

NORMAL = NormalDist().inv_cdf(0.75)
"""The median absolute deviation of a normal distribution whose standard deviation is 1."""

USUAL_SPREAD = 0.1
"""The spread that is assumed at least, as a share: where all are alike, two thirds more is far."""


def outliers(cases: Mapping[str, CaseFacts]) -> Iterator[Finding]:
    """A warning for each figure by which cases are far from the site's others; ``cases`` by name."""
    figures = {name: _figures(facts) for name, facts in cases.items()}
    for what in sorted({what for values in figures.values() for what in values}):
        known = {name: values[what] for name, values in figures.items() if values.get(what, 0) > 0}
        far = far_from_the_others(known) if len(known) >= FEWEST_CASES else []
        if far:
            yield _warning(what, known, far)


def _warning(what: str, known: Mapping[str, float], far: Sequence[str]) -> Finding:
    shown = ", ".join(f"{name} ({known[name]:.4g})" for name in far[:MOST_NAMES])
    more = f" and {len(far) - MOST_NAMES} more" if len(far) > MOST_NAMES else ""
    return Finding(
        "warning",
        "outlier",
        f"{shown}{more}: unlike the site's {len(known)} cases in {what}, of which the median is "
        f"{median(known.values()):.4g}; look whether they belong here.",
    )


def far_from_the_others(values: Mapping[str, float]) -> list[str]:
    """The names whose values (all above 0) lie more than ``FAR`` robust deviations from the median."""
    logs = {name: math.log(value) for name, value in values.items()}
    middle = median(logs.values())
    deviation = median(abs(value - middle) for value in logs.values()) / NORMAL
    return [name for name, value in logs.items() if abs(value - middle) > FAR * max(deviation, USUAL_SPREAD)]


def _figures(facts: CaseFacts) -> dict[str, float]:
    """A case's figures by their names; one that is not above 0 is passed over."""
    first = next(iter(facts.images.values()))
    figures = {"tissue volume in ml": first.tissue * (first.voxel_ml or 0)}
    extents = [n * mm for n, mm in zip(first.shape, first.spacing, strict=False)] or list(map(float, first.shape[:2]))
    unit = "mm" if first.spacing else "pixels"
    figures |= {f"extent along axis {axis + 1} in {unit}": extent for axis, extent in enumerate(extents)}
    for modality, image in facts.images.items():
        if image.intensities is not None:
            figures[f"median {modality} intensity"] = image.intensities.median
            figures[f"range of {modality} intensities"] = image.intensities.p99 - image.intensities.p1
    return figures
