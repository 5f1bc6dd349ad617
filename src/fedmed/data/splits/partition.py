"""Patients, splits of them, and the dealing of patients to parts. Pure functions: no files are read or written here.

A way of partitioning decides how many cases each part shall have and deals the patients out; ``partition_ways`` has the
ways, made of the helpers here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from fedmed.core.errors import InputError

Fact = str | float | None
"""A text such as a grade or a class, a number such as a volume, or None where it is not known."""


class DealtCase(Protocol):
    """A thing that a split deals out, with its name and its patient: a case, or all that a patient has."""

    @property
    def name(self) -> str: ...

    @property
    def patient(self) -> str: ...


class ListedCase(DealtCase, Protocol):
    """A case that stands in a list."""

    def entry(self, root: Path) -> dict[str, Any]:
        """The case as an entry of a datalist, with paths relative to ``root``."""


C = TypeVar("C", bound=DealtCase)

L = TypeVar("L", bound=ListedCase)

FactsOf = Callable[[C], Mapping[str, Fact]]
"""The facts of a case by which splits are made and drawn, by their names."""


@dataclass(frozen=True)
class Patient(Generic[C]):
    """All cases (visits) of one patient, sorted by name and never taken apart.

    ``strata`` are the facts of the patient: the texts of the first case, the means of the cases' numbers.
    """

    name: str
    cases: tuple[C, ...]
    strata: Mapping[str, Fact]

    def __len__(self) -> int:
        return len(self.cases)

    def text(self, stratum: str) -> str:
        """A text among the facts.

        Raises:
            InputError: it is not known.
        """
        value = self.strata.get(stratum)
        if not isinstance(value, str):
            raise InputError(f"The {stratum} of {self.cases[0].name} is not known; expected one for every patient.")
        return value

    def number(self, stratum: str) -> float:
        """A number among the facts.

        Raises:
            InputError: it is not known.
        """
        value = self.strata.get(stratum)
        if value is None or isinstance(value, str):
            raise InputError(f"The {stratum} of {self.cases[0].name} is not known; expected one for every case.")
        return value


@dataclass(frozen=True)
class Split(Generic[C]):
    """Each site's training cases, all validation cases, and the test cases that no site sees; each sorted by name."""

    sites: Mapping[str, tuple[C, ...]]
    validation: tuple[C, ...]
    own_validation: Mapping[str, tuple[C, ...]] | None = None  # None: all sites share ``validation``
    test: tuple[C, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)  # of a site, where it stands for one, as an institution
    own_test: Mapping[str, tuple[C, ...]] | None = None  # each site's share of ``test``, where sites' lists have one

    def validation_of(self, site: str) -> tuple[C, ...]:
        """The cases on which ``site`` validates; ``site-All`` does so on all of them."""
        return self.validation if self.own_validation is None else self.own_validation.get(site, self.validation)

    @property
    def cases(self) -> list[C]:
        """Every case of the split."""
        return [case for cases in (*self.sites.values(), self.validation, self.test) for case in cases]


def by_patient(cases: Sequence[C], facts_of: FactsOf[C] = lambda case: {}) -> list[Patient[C]]:
    """The cases grouped by patient, sorted by patient."""
    groups: dict[str, list[C]] = {}
    for case in sorted(cases, key=lambda case: case.name):
        groups.setdefault(case.patient, []).append(case)
    return [Patient(name, tuple(groups[name]), _united([*map(facts_of, groups[name])])) for name in sorted(groups)]


def _united(facts: Sequence[Mapping[str, Fact]]) -> dict[str, Fact]:
    """A patient's facts from those of the cases; a number that one case lacks is not known."""
    united: dict[str, Fact] = dict(facts[0])
    for name, first in facts[0].items():
        values = [each.get(name) for each in facts]
        if not isinstance(first, str):
            numbers = [value for value in values if value is not None and not isinstance(value, str)]
            united[name] = sum(numbers) / len(numbers) if len(numbers) == len(values) else None
    return united


def sorted_cases(patients: Sequence[Patient[C]]) -> tuple[C, ...]:
    """The cases of patients, sorted by name."""
    return tuple(sorted((case for patient in patients for case in patient.cases), key=lambda case: case.name))


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


def shuffled_by_stratum(patients: Sequence[Patient[C]], stratum: str, rng: np.random.Generator) -> list[Patient[C]]:
    """The patients in random order, but one stratum after the other, to be dealt out by ``deal``.

    The rarest stratum comes first and, within a stratum, the patients with the most visits: those that come last are
    many and small, and even out what the earlier ones left uneven. Patients of unknown stratum are one of their own.
    """
    strata: dict[str, list[Patient[C]]] = {}
    for patient in patients:
        strata.setdefault(str(patient.strata.get(stratum) or ""), []).append(patient)
    ordered: list[Patient[C]] = []
    for _, members in sorted(strata.items(), key=lambda item: (len(item[1]), item[0])):
        shuffled = [members[i] for i in rng.permutation(len(members))]
        ordered += sorted(shuffled, key=len, reverse=True)
    return ordered


def deal(patients: Sequence[Patient[C]], targets: Sequence[int]) -> list[tuple[C, ...]]:
    """Deal patients out, in the order given, to parts that shall have ``targets`` cases each.

    Each patient goes to the part furthest behind its share of the cases dealt so far, so any run of the order (a
    stratum, say) is spread in the proportions of the targets. A part does not take more than its target while another
    has room, and none stays empty.

    Args:
        patients: at least as many as there are parts.
        targets: cases a part, adding up to the number of cases.

    Returns:
        The cases of each part, sorted by name.
    """
    parts: list[list[Patient[C]]] = [[] for _ in targets]
    sizes = [0 for _ in targets]
    for i, patient in enumerate(patients):
        dealt = sum(sizes) + len(patient)
        part = _next_part(sizes, targets, dealt, len(patient), len(patients) - i)
        parts[part].append(patient)
        sizes[part] += len(patient)
    return [sorted_cases(members) for members in parts]


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
