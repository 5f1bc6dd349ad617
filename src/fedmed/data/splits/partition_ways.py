"""The ways in which sites can differ: each deals patients out to sites. Pure functions of patients and a generator.

A patient's grade is that of the first visit, the tumour volume the mean over the visits.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise

import numpy as np

from fedmed.core.errors import InputError, counted
from fedmed.data.brats.brats_layout import GRADES, CaseFiles, institution_of
from fedmed.data.splits.partition import Patient, apportion, deal, shuffled_by_grade

Volumes = Mapping[str, float]
"""Whole-tumour volume in ml, by case name."""

Sites = list[tuple[CaseFiles, ...]]
"""The cases of each site, sorted by name."""

QUARTILES = 4

MOST_ALPHA = 1e12
"""Shares drawn with this alpha are equal to a millionth; far larger ones are beyond the generator."""


def iid(patients: Sequence[Patient], sites: int, rng: np.random.Generator) -> Sites:
    """Equal numbers of cases, each site with its share of every grade."""
    return deal(shuffled_by_grade(patients, rng), apportion(_cases(patients), [1] * sites))


def by_quantity(
    patients: Sequence[Patient], sites: int, power: float, rng: np.random.Generator, least: int = 1
) -> Sites:
    """Sizes by a power law, otherwise iid: site i of 1, 2, ... gets a share proportional to i^-power.

    Where the law gives a site fewer than ``least`` cases, it gets these from the largest site.
    """
    law = _whole(i**-power for i in range(1, sites + 1))
    return deal(shuffled_by_grade(patients, rng), _at_least(apportion(_cases(patients), law), least))


def by_grade(patients: Sequence[Patient], sites: int, rng: np.random.Generator) -> Sites:
    """HGG and LGG apart: patients sorted by grade, in random order within it, in runs of equal size.

    At most one site gets both grades.

    Raises:
        InputError: a case has no grade, or there is one grade only.
    """
    require_grades(patients)
    grades = {patient[0].grade for patient in patients}
    if len(grades) < len(GRADES):
        raise InputError(
            f"All patients are of one grade ({', '.join(map(str, grades))}); --by grade expects both "
            f"{' and '.join(GRADES)}, so choose another way such as --by iid."
        )
    shuffled = [patients[i] for i in rng.permutation(len(patients))]
    return runs(sorted(shuffled, key=lambda patient: str(patient[0].grade)), sites)


def by_tumour_volume(patients: Sequence[Patient], sites: int, volumes: Volumes) -> Sites:
    """Small tumours at the first site, large ones at the last: patients sorted by volume, in runs of equal size."""
    return runs(sorted(patients, key=lambda patient: (patient_ml(patient, volumes), patient[0].patient)), sites)


def by_institution(patients: Sequence[Patient]) -> dict[str, tuple[CaseFiles, ...]]:
    """The cases of each institution, in alphabetical order of the institutions.

    Raises:
        InputError: a case's name does not state its institution.
    """
    groups: dict[str, list[CaseFiles]] = {}
    for patient in patients:
        groups.setdefault(patient_institution(patient), []).extend(patient)
    return {name: tuple(sorted(groups[name], key=lambda case: case.name)) for name in sorted(groups)}


def by_dirichlet(
    bins: Sequence[Sequence[Patient]], sites: int, alpha: float, rng: np.random.Generator, least: int = 1
) -> Sites:
    """For each bin of patients, shares over the sites drawn from a symmetric Dirichlet distribution.

    The smaller ``alpha``, the more the sites differ, in size too; as it grows the split tends to iid. The Dirichlet
    distribution as a dial between the two is that of Hsu et al., arXiv:1909.06335 (2019), who draw the mixture of
    bins of each site; shares of each bin over the sites are drawn as by Yurochkin et al., arXiv:1905.12022 (2019).
    A site left with fewer than ``least`` patients gets them, one by one, from the site that has most.
    """
    dealt: list[list[Patient]] = [[] for _ in range(sites)]
    for members in bins:
        counts = apportion(len(members), _whole(rng.dirichlet([min(alpha, MOST_ALPHA)] * sites)))
        order = iter(rng.permutation(len(members)))
        for site, count in zip(dealt, counts, strict=True):
            site += [members[next(order)] for _ in range(count)]
    while len(poorest := min(dealt, key=len)) < least < len(richest := max(dealt, key=len)):
        poorest.append(richest.pop(int(rng.integers(len(richest)))))
    return [_sorted_cases(site) for site in dealt]


def grade_bins(patients: Sequence[Patient]) -> list[list[Patient]]:
    """The patients of each grade.

    Raises:
        InputError: a case has no grade.
    """
    require_grades(patients)
    groups = [[patient for patient in patients if patient[0].grade == grade] for grade in GRADES]
    return [group for group in groups if group]


def volume_bins(patients: Sequence[Patient], volumes: Volumes) -> list[list[Patient]]:
    """The patients of each quartile of tumour volume."""
    ordered = sorted(patients, key=lambda patient: (patient_ml(patient, volumes), patient[0].patient))
    ends = [0, *accumulate(apportion(len(ordered), [1] * QUARTILES))]
    return [ordered[start:end] for start, end in pairwise(ends)]


def runs(ordered: Sequence[Patient], sites: int) -> Sites:
    """Cut ``ordered`` into runs of about equal numbers of cases, between patients; no run stays empty."""
    behind = [0, *accumulate(len(patient) for patient in ordered)]
    goals = list(accumulate(apportion(behind[-1], [1] * sites)))
    cuts = [0]
    for site, goal in enumerate(goals[:-1], start=1):
        possible = range(cuts[-1] + 1, len(ordered) - (sites - site) + 1)
        cuts.append(min(possible, key=lambda cut: abs(behind[cut] - goal)))
    cuts.append(len(ordered))
    return [_sorted_cases(ordered[start:end]) for start, end in pairwise(cuts)]


def patient_ml(patient: Patient, volumes: Volumes) -> float:
    """A patient's tumour volume in ml.

    Raises:
        InputError: the volume of a visit is not known.
    """
    unknown = [case.name for case in patient if case.name not in volumes]
    if unknown:
        raise InputError(
            f"The tumour volume of {unknown[0]} is not known; expected one for every case, so repair its label file."
        )
    return sum(volumes[case.name] for case in patient) / len(patient)


def patient_institution(patient: Patient) -> str:
    """The institution in a patient's case names.

    Raises:
        InputError: the first visit's name states none.
    """
    institution = institution_of(patient[0].name)
    if institution is None:
        raise InputError(
            f"The case name {patient[0].name} states no institution; expected names of BraTS 2017 to 2019 such as "
            "Brats18_CBICA_AAB_1, so choose another way such as --by iid."
        )
    return institution


def require_grades(patients: Sequence[Patient]) -> None:
    """Refuse patients of unknown grade."""
    without = [patient[0].name for patient in patients if patient[0].grade is None]
    if without:
        raise InputError(
            f"{counted(len(without), 'patient')} without a grade, such as {without[0]}; expected each case in a folder "
            f"{' or '.join(GRADES)}, so put them there, or choose another way such as --by iid."
        )


def _cases(patients: Sequence[Patient]) -> int:
    return sum(map(len, patients))


def _sorted_cases(patients: Iterable[Patient]) -> tuple[CaseFiles, ...]:
    return tuple(sorted((case for patient in patients for case in patient), key=lambda case: case.name))


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
