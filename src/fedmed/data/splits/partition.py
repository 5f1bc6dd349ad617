"""Who trains and who validates on which cases. Pure functions: no files are read or written here.

A way of partitioning groups the cases by patient, decides how many cases each part shall have, and deals the patients
out. ``partition_ways`` has the ways, made of these helpers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fedmed.data.brats.brats_layout import CaseFiles

Patient = tuple[CaseFiles, ...]
"""All visits of one patient, sorted by case name; never taken apart."""


@dataclass(frozen=True)
class Split:
    """Each site's training cases, all validation cases, and the test cases that no site sees.

    Each is sorted by name, or as published where the split is the published one.
    """

    sites: Mapping[str, tuple[CaseFiles, ...]]
    validation: tuple[CaseFiles, ...]
    own_validation: Mapping[str, tuple[CaseFiles, ...]] | None = None  # None: all sites share ``validation``
    test: tuple[CaseFiles, ...] = ()
    institutions: Mapping[str, str] = field(default_factory=dict)  # of a site, where it stands for one

    def validation_of(self, site: str) -> tuple[CaseFiles, ...]:
        """The cases on which ``site`` validates; ``site-All`` does so on all of them."""
        return self.validation if self.own_validation is None else self.own_validation.get(site, self.validation)


def by_patient(cases: Sequence[CaseFiles]) -> list[Patient]:
    """The cases grouped by patient, sorted by patient."""
    groups: dict[str, list[CaseFiles]] = {}
    for case in sorted(cases, key=lambda case: case.name):
        groups.setdefault(case.patient, []).append(case)
    return [tuple(groups[patient]) for patient in sorted(groups)]


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Whole shares of ``total`` in proportion to ``weights``, by largest remainder; the shares add up to ``total``.

    Of equal remainders the earlier share is served first. Whole-number arithmetic, so exact.
    """
    products = [total * weight for weight in weights]
    shares = [product // sum(weights) for product in products]
    by_remainder = sorted(range(len(weights)), key=lambda part: -(products[part] % sum(weights)))
    for part in by_remainder[: total - sum(shares)]:
        shares[part] += 1
    return shares


def shuffled_by_grade(patients: Sequence[Patient], rng: np.random.Generator) -> list[Patient]:
    """The patients in random order, but one grade after the other, to be dealt out by ``deal``.

    The rarest grade comes first and, within a grade, the patients with the most visits: those that come last are
    many and small, and even out what the earlier ones left uneven. A patient's grade is that of the first visit.
    """
    grades: dict[str, list[Patient]] = {}
    for patient in patients:
        grades.setdefault(patient[0].grade or "", []).append(patient)
    ordered: list[Patient] = []
    for _, members in sorted(grades.items(), key=lambda item: (len(item[1]), item[0])):
        shuffled = [members[i] for i in rng.permutation(len(members))]
        ordered += sorted(shuffled, key=len, reverse=True)
    return ordered


def deal(patients: Sequence[Patient], targets: Sequence[int]) -> list[tuple[CaseFiles, ...]]:
    """Deal patients out, in the order given, to parts that shall have ``targets`` cases each.

    Each patient goes to the part furthest behind its share of the cases dealt so far, so any run of the order (a
    grade, say) is spread in the proportions of the targets. A part does not take more than its target while another
    has room, and none stays empty.

    Args:
        patients: at least as many as there are parts.
        targets: cases a part, adding up to the number of cases.

    Returns:
        The cases of each part, sorted by name.
    """
    parts: list[list[CaseFiles]] = [[] for _ in targets]
    dealt = 0
    for i, patient in enumerate(patients):
        dealt += len(patient)
        part = _next_part([len(cases) for cases in parts], targets, dealt, len(patient), len(patients) - i)
        parts[part] += patient
    return [tuple(sorted(cases, key=lambda case: case.name)) for cases in parts]


def _next_part(sizes: Sequence[int], targets: Sequence[int], dealt: int, visits: int, patients_left: int) -> int:
    """The part that the next patient goes to, when ``dealt`` counts the cases up to and with this patient's."""
    every = range(len(targets))
    empty = [part for part in every if sizes[part] == 0]
    candidates = empty if len(empty) == patients_left else list(every)
    room = [part for part in candidates if sizes[part] + visits <= targets[part]]
    if not room:
        return max(candidates, key=lambda part: targets[part] - sizes[part])
    total = sum(targets)
    return max(room, key=lambda part: targets[part] * dealt - sizes[part] * total)
