"""The ways in which sites can differ: each deals patients out to sites. Pure functions of patients and a generator.

A way goes by a stratum, a fact of the patients by its name: a text such as a class, or a number such as a volume.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

import numpy as np

from fedmed.core.errors import InputError
from fedmed.data.splits.partition import C, Patient, apportion, deal, shuffled_by_stratum, sorted_cases

QUARTILES = 4

MOST_ALPHA = 1e12
"""Shares drawn with this alpha are equal to a millionth; far larger ones are beyond the generator."""


def iid(patients: Sequence[Patient[C]], sites: int, stratum: str, rng: np.random.Generator) -> list[tuple[C, ...]]:
    """Equal numbers of cases, each site with its share of every stratum."""
    return deal(shuffled_by_stratum(patients, stratum, rng), apportion(_cases(patients), [1] * sites))


def by_quantity(
    patients: Sequence[Patient[C]], sites: int, power: float, stratum: str, rng: np.random.Generator, least: int = 1
) -> list[tuple[C, ...]]:
    """Sizes by a power law, otherwise iid: site i of 1, 2, ... gets a share proportional to i^-power.

    Where the law gives a site fewer than ``least`` cases, it gets these from the largest site.
    """
    law = _whole(i**-power for i in range(1, sites + 1))
    targets = _at_least(apportion(_cases(patients), law), least)
    return deal(shuffled_by_stratum(patients, stratum, rng), targets)


def by_order(patients: Sequence[Patient[C]], sites: int, stratum: str, rng: np.random.Generator) -> list[tuple[C, ...]]:
    """Patients sorted by a stratum, in runs of equal size: small values at the first site, large ones at the last.

    Patients of one text are in random order; of two texts at most one site gets both.

    Raises:
        InputError: the stratum of a patient is not known, or all have the same text.
    """
    if _is_number(patients, stratum):
        return runs(sorted(patients, key=lambda patient: (patient.number(stratum), patient.name)), sites)
    found = {patient.text(stratum) for patient in patients}
    if len(found) < 2:
        raise InputError(
            f"All patients are of one {stratum} ({', '.join(found)}); expected at least two, so choose another way "
            "such as --by iid."
        )
    shuffled = [patients[i] for i in rng.permutation(len(patients))]
    return runs(sorted(shuffled, key=lambda patient: patient.text(stratum)), sites)


def by_group(patients: Sequence[Patient[C]], stratum: str) -> dict[str, tuple[C, ...]]:
    """The cases of each group, such as an institution, in alphabetical order of the groups.

    Raises:
        InputError: the group of a patient is not known.
    """
    groups: dict[str, list[Patient[C]]] = {}
    for patient in patients:
        groups.setdefault(patient.text(stratum), []).append(patient)
    return {name: sorted_cases(groups[name]) for name in sorted(groups)}


def by_group_divided(
    patients: Sequence[Patient[C]], stratum: str, sites: int, rng: np.random.Generator
) -> list[tuple[C, ...]]:
    """The cases of a given number of sites, none of which has patients of two groups.

    Large groups are divided at random among several sites, so that the sites' sizes differ as little as they can.

    Raises:
        InputError: the group of a patient is not known, or there are fewer sites than groups or more than patients.
    """
    members: dict[str, list[Patient[C]]] = {}
    for patient in patients:
        members.setdefault(patient.text(stratum), []).append(patient)
    if not len(members) <= sites <= len(patients):
        raise InputError(
            f"--sites is {sites}; expected at least {len(members)}, one for each of {', '.join(sorted(members))}, and "
            f"at most {len(patients)}, the number of patients to be shared out."
        )
    parts = dict.fromkeys(members, 1)
    for _ in range(sites - len(members)):
        parts[max(parts, key=lambda group: (_cases(members[group]) / parts[group], group))] += 1
    shuffled = {group: [own[i] for i in rng.permutation(len(own))] for group, own in sorted(members.items())}
    return [part for group, own in shuffled.items() for part in runs(own, parts[group])]


def by_dirichlet(
    bins: Sequence[Sequence[Patient[C]]], sites: int, alpha: float, rng: np.random.Generator, least: int = 1
) -> list[tuple[C, ...]]:
    """For each bin of patients, shares over the sites drawn from a symmetric Dirichlet distribution.

    The smaller ``alpha``, the more the sites differ, in size too; as it grows the split tends to iid. The Dirichlet
    distribution as a dial between the two is that of Hsu et al., arXiv:1909.06335 (2019), who draw the mixture of
    bins of each site; shares of each bin over the sites are drawn as by Yurochkin et al., arXiv:1905.12022 (2019).
    A site left with fewer than ``least`` patients gets them, one by one, from the site that has most.
    """
    dealt: list[list[Patient[C]]] = [[] for _ in range(sites)]
    for members in bins:
        counts = apportion(len(members), _whole(rng.dirichlet([min(alpha, MOST_ALPHA)] * sites)))
        order = iter(rng.permutation(len(members)))
        for site, count in zip(dealt, counts, strict=True):
            site += [members[next(order)] for _ in range(count)]
    while len(poorest := min(dealt, key=len)) < least < len(richest := max(dealt, key=len)):
        poorest.append(richest.pop(int(rng.integers(len(richest)))))
    return [sorted_cases(site) for site in dealt]


def bins_of(patients: Sequence[Patient[C]], stratum: str) -> list[list[Patient[C]]]:
    """The patients of each text of a stratum, or of each quartile of its numbers.

    Raises:
        InputError: the stratum of a patient is not known.
    """
    if not _is_number(patients, stratum):
        texts = sorted({patient.text(stratum) for patient in patients})
        return [[patient for patient in patients if patient.text(stratum) == text] for text in texts]
    ordered = sorted(patients, key=lambda patient: (patient.number(stratum), patient.name))
    ends = [0, *accumulate(apportion(len(ordered), [1] * QUARTILES))]
    return [ordered[start:end] for start, end in pairwise(ends)]


def runs(ordered: Sequence[Patient[C]], sites: int) -> list[tuple[C, ...]]:
    """Cut ``ordered`` into runs of about equal numbers of cases, between patients; no run stays empty."""
    behind = [0, *accumulate(len(patient) for patient in ordered)]
    goals = list(accumulate(apportion(behind[-1], [1] * sites)))
    cuts = [0]
    for site, goal in enumerate(goals[:-1], start=1):
        possible = range(cuts[-1] + 1, len(ordered) - (sites - site) + 1)
        cuts.append(min(possible, key=lambda cut: abs(behind[cut] - goal)))
    cuts.append(len(ordered))
    return [sorted_cases(ordered[start:end]) for start, end in pairwise(cuts)]


def _is_number(patients: Sequence[Patient[C]], stratum: str) -> bool:
    return any(isinstance(patient.strata.get(stratum), int | float) for patient in patients)


def _cases(patients: Sequence[Patient[C]]) -> int:
    return sum(map(len, patients))


def _whole(shares: Iterable[float]) -> list[int]:
    """Real weights of at most 1 as whole numbers, fine enough for any number of patients."""
    return [round(share * 2**40) for share in shares]


def _at_least(targets: Sequence[int], least: int) -> list[int]:
    """Targets with the same sum, none below ``least`` as far as that goes; the largest gives."""
    raised = list(targets)
    while min(raised) < least and max(raised) > least:
        raised[raised.index(max(raised))] -= 1
        raised[raised.index(min(raised))] += 1
    return raised
