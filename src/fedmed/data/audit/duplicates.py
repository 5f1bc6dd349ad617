"""The same images, or the same patient, in two places: within a site, across sites, across training and validation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal

from fedmed.core.units import Unit
from fedmed.data.audit.finding import Finding, Level

MOST_NAMES = 3

USES = {"training": "trains on", "validation": "validates on", "test": "tests on"}
"""The use of the cases of a split, as a verb."""

APART = (("training", "validation"), ("training", "test"), ("validation", "test"))
"""Splits that must have nothing in common: scores on the second are to be of patients that the first has not met."""

Splits = Mapping[str, Mapping[str, str]]
"""A site's images by split: each fingerprint, keyed or not, with the name under which people find the image."""


@dataclass(frozen=True)
class Listed:
    """A case in one list: its name, its split there, its patient and its images' fingerprints (keyed or not)."""

    name: str
    split: str
    patient: str
    fingerprints: frozenset[str]


def within_a_site(cases: Sequence[Listed], allow_overlap: bool, unit: Unit = "patient") -> Iterator[Finding]:
    """Images or patients that stand in a site's lists more than once.

    Between training and validation that is an error, unless ``allow_overlap`` makes it a warning.

    Args:
        cases: of all lists of the site.
        allow_overlap: whether an overlap is accepted.
        unit: what ``patient`` names, for sentences.
    """
    across, remedy = _overlap(allow_overlap, unit)
    reported: set[str] = set()
    for one, other in _pairs_that_share_images(cases):
        if one.split != other.split:
            reported |= {one.patient} & {other.patient}
            yield Finding(across, "overlap", f"{_both(one, other)} hold the same images; {remedy}")
        elif one.name == other.name:
            yield Finding("warning", "duplicate", f"{one.name} is listed twice for {one.split}: take one out.")
        else:
            sentence = f"{_both(one, other)} hold the same images: the {unit} counts twice; take one out."
            yield Finding("warning", "duplicate", sentence)
    for one, other in _pairs_of_one_patient(cases):
        if one.patient not in reported:
            yield Finding(across, "overlap", f"{_both(one, other)} are of one {unit}, {one.patient}; {remedy}")


def across_sites(
    sites: Mapping[str, Splits],
    allow_overlap: bool,
    of: Literal["images", "units"] = "images",
    unit: Unit = "patient",
) -> Iterator[Finding]:
    """Images (or patients, the units) of one site that are also another's; ``sites`` has each site's splits.

    One site's training images among another's validation images are an error (the global model has seen them), and so
    are either among the test's; the same images trained on at two sites are a warning. Validation cases that sites
    share are nothing unusual.
    """
    across, remedy = _overlap(allow_overlap, unit)
    what, those = ("what", "images") if of == "images" else (f"{unit}s that", f"{unit}s")
    for one, other in _pairs_in_contact(sites):
        for first, second in ((one, other), (other, one)):
            for split, held_out in APART:
                leaked = _common(sites[first], split, sites[second], held_out)
                if leaked:
                    sentence = f"{first} {USES[split]} {what} {second} {USES[held_out]}: {_shown(leaked)}; {remedy}"
                    yield Finding(across, "overlap", sentence)
        twice = _common(sites[one], "training", sites[other], "training")
        if twice:
            sentence = f"{one} and {other} train on the same {those}: {_shown(twice)}; take them out at one site."
            yield Finding("warning", "duplicate", sentence)


def _pairs_in_contact(sites: Mapping[str, Splits]) -> list[tuple[str, str]]:
    """The pairs of sites that may have something to report, in order; without looking at every pair there is."""
    holders: dict[str, dict[str, set[str]]] = {}
    for site, splits in sites.items():
        for split, found in splits.items():
            for fingerprint in found:
                holders.setdefault(fingerprint, {}).setdefault(split, set()).add(site)
    pairs = {
        (min(one, other), max(one, other))
        for by_split in holders.values()
        for first, second in (*APART, ("training", "training"))
        for one, other in product(by_split.get(first, ()), by_split.get(second, ()))
        if one != other
    }
    return sorted(pairs)


def _overlap(allowed: bool, unit: Unit) -> tuple[Level, str]:
    """The level of an overlap of training and validation, and the remedy."""
    if allowed:
        return "warning", f"as --allow_overlap accepts, the scores say nothing about new {unit}s."
    return "error", f"take one out, or accept with --allow_overlap that the scores say nothing about new {unit}s."


def _pairs_that_share_images(cases: Sequence[Listed]) -> Iterator[tuple[Listed, Listed]]:
    holders: dict[str, list[int]] = {}
    for index, case in enumerate(cases):
        for found in case.fingerprints:
            holders.setdefault(found, []).append(index)
    pairs = {pair for indices in holders.values() for pair in combinations(sorted(indices), 2)}
    for i, j in sorted(pairs):
        yield cases[i], cases[j]


def _pairs_of_one_patient(cases: Sequence[Listed]) -> Iterator[tuple[Listed, Listed]]:
    """A case of each split for each patient who is in several."""
    by_patient: dict[str, dict[str, Listed]] = {}
    for case in cases:
        by_patient.setdefault(case.patient, {}).setdefault(case.split, case)
    for splits in by_patient.values():
        yield from combinations(splits.values(), 2)


def _both(one: Listed, other: Listed) -> str:
    return " and ".join(f"{case.name} ({case.split})" if case.split else case.name for case in (one, other))


def _common(one: Splits, split: str, other: Splits, other_split: str) -> list[str]:
    """The names at the first site of the images that the other has too."""
    mine, theirs = one.get(split, {}), other.get(other_split, {})
    return sorted({mine[found] for found in mine.keys() & theirs.keys()})


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
