"""A whole split: the test cases are set apart, then the validation cases, and the rest goes to the sites."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fedmed.core.errors import InputError, counted
from fedmed.data.splits.partition import C, Patient, Split, apportion, sorted_cases
from fedmed.data.splits.partition_ways import (
    bins_of,
    by_dirichlet,
    by_group,
    by_group_divided,
    by_order,
    by_quantity,
    iid,
)

FEWEST_TRAINING = 5
"""Training cases below which a site is warned of."""


@dataclass(frozen=True)
class SplitPlan:
    """The choices of a split.

    Attributes:
        way: ``iid``; ``group``, a site for each; ``order``, sorted; ``quantity``, by a power law; ``dirichlet``.
        stratify: the stratum of which every part gets its share, such as a grade or a class.
        by: the stratum that ``group``, ``order`` and ``dirichlet`` go by.
        sites: the number of sites; None for ``group`` gives one for each group, more divide the largest groups.
        alpha: of the Dirichlet distribution, above 0.
        power: of the power law, at least 0.
        validation: one list for all sites, or a share of each site's own cases.
        validation_share: share of the patients for validation, from 0 to below 1, after the test.
        test: share of the patients that no site gets; None for none.
        seed: 0 or more.
    """

    way: Literal["iid", "group", "order", "quantity", "dirichlet"]
    stratify: str
    by: str = ""
    sites: int | None = None
    alpha: float = 0.5
    power: float = 1.0
    validation: Literal["shared", "per_site"] = "shared"
    validation_share: float = 0.15
    test: float | None = None
    seed: int = 0


def draw_split(patients: Sequence[Patient[C]], plan: SplitPlan) -> Split[C]:
    """Split patients as planned.

    Always by patient, and dependent on the seed and the set of cases, not on their order. Test and shared validation
    have their share of every stratum and, with the same seed and shares, are the same patients whatever the way, so
    that ways can be compared on them (``group`` may exchange some, so that no group loses its last patient).

    Args:
        patients: sorted by name.
        plan: the way and its numbers.

    Raises:
        InputError: there are too few patients, or the stratum that the way goes by is not known.
    """
    for_test, for_validation, for_sites = np.random.default_rng(plan.seed).spawn(3)
    fewest = 2 if plan.validation == "per_site" else 1
    group = (lambda patient: patient.text(plan.by)) if plan.way == "group" else _one_group
    keep = _require_enough(patients, plan, fewest)
    test, rest = hold_out(patients, plan.test or 0.0, for_test, plan.stratify, group, keep + (plan.sites is not None))
    share = plan.validation_share if plan.validation == "shared" else 0.0
    shared, rest = hold_out(rest, share, for_validation, plan.stratify, group, keep)
    _require_drawn(patients, plan, test, shared)
    dealt = _dealt(rest, plan, for_sites, fewest)
    names = [f"site-{i}" for i in range(1, len(dealt) + 1)]
    groups = _groups(names, dealt, rest, plan.by) if plan.way == "group" else {}
    split = Split(dict(zip(names, dealt, strict=True)), sorted_cases(shared), test=sorted_cases(test), groups=groups)
    return _with_own_validation(split, rest, plan, for_validation) if plan.validation == "per_site" else split


def hold_out(
    patients: Sequence[Patient[C]],
    share: float,
    rng: np.random.Generator,
    stratify: str,
    group: Callable[[Patient[C]], str],
    keep: int,
) -> tuple[list[Patient[C]], list[Patient[C]]]:
    """Draw a share of the patients, with its part of each stratum; at least one patient unless the share is 0.

    Args:
        patients: sorted by name.
        share: of the patients, from 0 to below 1.
        rng: decides who is drawn.
        stratify: the stratum.
        group: gives a patient's group, which must not be emptied.
        keep: patients of each group that are not drawn.

    Returns:
        Those drawn and the rest, each sorted by name.
    """
    wanted = max(1, int(share * len(patients) + 0.5)) if share else 0
    owners = [group(patient) for patient in patients]
    left = Counter(owners)
    strata = _places_by_stratum(patients, stratify)
    drawn: set[int] = set()
    for stratum, count in zip(strata, apportion(wanted, [*map(len, strata)]), strict=True):
        drawn |= _drawn(rng.permutation(stratum).tolist(), count, owners, left, keep)
    inside = [patient for i, patient in enumerate(patients) if i in drawn]
    return inside, [patient for i, patient in enumerate(patients) if i not in drawn]


def _places_by_stratum(patients: Sequence[Patient[C]], stratify: str) -> list[list[int]]:
    """The places of the patients of each stratum, in alphabetical order of the strata."""
    places: dict[str, list[int]] = {}
    for i, patient in enumerate(patients):
        places.setdefault(str(patient.strata.get(stratify) or ""), []).append(i)
    return [places[stratum] for stratum in sorted(places)]


def small_sites(split: Split[C], noun: str = "training case") -> list[str]:
    """A sentence on each site with so few training cases that its part in a federation is doubtful."""
    return [
        f"{site} has {counted(len(cases), noun)}, fewer than {FEWEST_TRAINING}: its model will fit "
        "these few, and its update is noisy; take fewer sites, or a milder split, unless that is what you study."
        for site, cases in split.sites.items()
        if len(cases) < FEWEST_TRAINING
    ]


def _drawn(order: Sequence[int], count: int, owners: Sequence[str], left: Counter[str], keep: int) -> set[int]:
    """The first ``count`` patients of an order whose groups have more than ``keep`` left, which are counted down."""
    drawn: set[int] = set()
    for i in order:
        if len(drawn) < count and left[owners[i]] > keep:
            drawn.add(i)
            left[owners[i]] -= 1
    return drawn


def _dealt(
    patients: Sequence[Patient[C]], plan: SplitPlan, rng: np.random.Generator, fewest: int
) -> list[tuple[C, ...]]:
    """The cases of each site, by the way of the plan."""
    sites = plan.sites or 1
    match plan.way:
        case "group":
            if plan.sites is not None:
                return by_group_divided(patients, plan.by, sites, rng)
            return list(by_group(patients, plan.by).values())
        case "order":
            return by_order(patients, sites, plan.by, rng)
        case "quantity":
            return by_quantity(patients, sites, plan.power, plan.stratify, rng, fewest)
        case "dirichlet":
            return by_dirichlet(bins_of(patients, plan.by), sites, plan.alpha, rng, fewest)
    return iid(patients, sites, plan.stratify, rng)


def _groups(
    sites: Sequence[str], dealt: Sequence[Sequence[C]], patients: Sequence[Patient[C]], stratum: str
) -> dict[str, str]:
    """The group that each site's cases are of."""
    of_case = {case.name: patient.text(stratum) for patient in patients for case in patient.cases}
    return {site: of_case[cases[0].name] for site, cases in zip(sites, dealt, strict=True)}


def _with_own_validation(
    split: Split[C], patients: Sequence[Patient[C]], plan: SplitPlan, rng: np.random.Generator
) -> Split[C]:
    """The split in which each site gives a share of its own cases to its validation."""
    of_case = {case.name: patient for patient in patients for case in patient.cases}
    own, training = {}, {}
    for site, cases in split.sites.items():
        members = list({of_case[case.name].name: of_case[case.name] for case in cases}.values())
        members.sort(key=lambda patient: patient.name)
        if len(members) < 2:
            raise InputError(
                f"{site} {split.groups.get(site, '')} gets one patient; --validation per_site expects at least 2 "
                "at each site, so choose --validation shared, fewer sites or a milder split."
            )
        validating, trained = hold_out(members, plan.validation_share, rng, plan.stratify, _one_group, keep=1)
        own[site], training[site] = sorted_cases(validating), sorted_cases(trained)
    everyone = tuple(sorted((case for cases in own.values() for case in cases), key=lambda case: case.name))
    return replace(split, sites=training, validation=everyone, own_validation=own)


def _require_enough(patients: Sequence[Patient[C]], plan: SplitPlan, fewest: int) -> int:
    """Refuse fewer patients than the parts need; the number that must stay for the sites (in each group)."""
    keep = fewest * (plan.sites or 1)
    need = keep + (fewest == 1) + (plan.test is not None)
    if len(patients) < need:
        raise InputError(
            f"{counted(len(patients), 'patient')} cannot be split into {plan.sites or 'the'} sites with "
            f"{plan.validation} validation{' and a test set' if plan.test else ''}; "
            f"give cases of at least {need} patients, or take fewer sites."
        )
    return keep


def _require_drawn(
    patients: Sequence[Patient[C]], plan: SplitPlan, test: Sequence[Patient[C]], shared: Sequence[Patient[C]]
) -> None:
    """Refuse when every patient is the last of a group, so that none could be drawn."""
    if (plan.test and not test) or (plan.validation == "shared" and not shared):
        raise InputError(
            f"No patient can be set apart for {'validation' if test or not plan.test else 'the test'}: each of the "
            f"{len(patients)} is needed by its {plan.by or 'group'}; choose another way such as --by iid, or give more "
            "cases."
        )


def _one_group(patient: Patient[C]) -> str:
    return ""
