"""A whole split: the test cases are set apart, then the validation cases, and the rest goes to the sites."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from fedmed.core.errors import InputError, counted
from fedmed.data.brats.brats_layout import CaseFiles
from fedmed.data.splits.partition import Patient, Split, apportion, by_patient
from fedmed.data.splits.partition_options import SplitOptions
from fedmed.data.splits.partition_ways import (
    Sites,
    Volumes,
    by_dirichlet,
    by_grade,
    by_institution,
    by_quantity,
    by_tumour_volume,
    grade_bins,
    iid,
    patient_institution,
    require_grades,
    volume_bins,
)

FEWEST_TRAINING = 5
"""Training cases below which a site is warned of."""


def split_cases(cases: Sequence[CaseFiles], options: SplitOptions, volumes: Volumes) -> Split:
    """Draw a split as the options say, in any way but ``published``, for which nothing is drawn.

    Always by patient, and dependent on the seed and the set of cases, not on their order. Test and shared validation
    have their share of every grade and, with the same seed and shares, are the same patients whatever the way, so that
    ways can be compared on them (``institution`` may exchange some, so that no institution loses its last patient).

    Args:
        cases: the cases.
        options: the way and what it needs.
        volumes: by case name; needed only where ``options.needs_volumes``.

    Raises:
        InputError: an option is wrong, there are too few patients, or what the way goes by is not known.
    """
    options = options.completed()
    for_test, for_validation, for_sites = np.random.default_rng(options.seed).spawn(3)
    per_site = options.validation == "per_site"
    fewest = 2 if per_site else 1
    patients = by_patient(cases)
    if options.needs_grades:
        require_grades(patients)
    group = patient_institution if options.by == "institution" else _one_group
    keep = _require_enough(patients, options, fewest)
    test, rest = hold_out(patients, options.test or 0.0, for_test, group, keep + (options.sites is not None))
    shared, rest = hold_out(rest, 0.0 if per_site else _share(options), for_validation, group, keep)
    _require_drawn(patients, options, test, shared)
    dealt = _dealt(rest, options, volumes, for_sites, fewest)
    names = [f"site-{i}" for i in range(1, len(dealt) + 1)]
    split = Split(dict(zip(names, dealt, strict=True)), _flat(shared), test=_flat(test))
    if options.by == "institution":
        split = replace(split, institutions=dict(zip(names, by_institution(rest), strict=True)))
    return _with_own_validation(split, _share(options), for_validation) if per_site else split


def hold_out(
    patients: Sequence[Patient],
    share: float,
    rng: np.random.Generator,
    group: Callable[[Patient], str],
    keep: int,
) -> tuple[list[Patient], list[Patient]]:
    """Draw a share of the patients, with its part of each grade; at least one patient unless the share is 0.

    Args:
        patients: sorted by patient.
        share: of the patients, from 0 to below 1.
        rng: decides who is drawn.
        group: what must not be emptied.
        keep: patients of each group that are not drawn.

    Returns:
        Those drawn and the rest, each sorted by patient.
    """
    wanted = max(1, int(share * len(patients) + 0.5)) if share else 0
    left = Counter(map(group, patients))
    drawn: set[int] = set()
    grades = sorted({patient[0].grade or "" for patient in patients})
    strata = [[i for i, patient in enumerate(patients) if (patient[0].grade or "") == grade] for grade in grades]
    for stratum, count in zip(strata, apportion(wanted, [len(stratum) for stratum in strata]), strict=True):
        for i in rng.permutation(stratum):
            owner = group(patients[i])
            if count > 0 and left[owner] > keep:
                drawn.add(int(i))
                left[owner] -= 1
                count -= 1
    inside = [patient for i, patient in enumerate(patients) if i in drawn]
    return inside, [patient for i, patient in enumerate(patients) if i not in drawn]


def small_sites(split: Split) -> list[str]:
    """A sentence on each site with so few training cases that its part in a federation is doubtful."""
    return [
        f"{site} has {counted(len(cases), 'training case')}, fewer than {FEWEST_TRAINING}: its model will fit "
        "these few, and its update is noisy; take fewer sites, or a milder split, unless that is what you study."
        for site, cases in split.sites.items()
        if len(cases) < FEWEST_TRAINING
    ]


def _dealt(
    patients: Sequence[Patient], options: SplitOptions, volumes: Volumes, rng: np.random.Generator, fewest: int
) -> Sites:
    """The cases of each site, by the way that the options name."""
    sites, alpha, power = options.sites or 1, options.alpha or 0.0, options.power or 0.0
    match options.by:
        case "iid":
            return iid(patients, sites, rng)
        case "institution":
            return list(by_institution(patients).values())
        case "grade":
            return by_grade(patients, sites, rng)
        case "tumour_volume":
            return by_tumour_volume(patients, sites, volumes)
        case "quantity":
            return by_quantity(patients, sites, power, rng, fewest)
        case "dirichlet":
            bins = volume_bins(patients, volumes) if options.needs_volumes else grade_bins(patients)
            return by_dirichlet(bins, sites, alpha, rng, fewest)
    raise ValueError(f"nothing is drawn for --by {options.by}")


def _with_own_validation(split: Split, share: float, rng: np.random.Generator) -> Split:
    """The split in which each site gives a share of its own cases to its validation."""
    parts = {}
    for site, cases in split.sites.items():
        patients = by_patient(cases)
        if len(patients) < 2:
            raise InputError(
                f"{site} {split.institutions.get(site, '')} gets one patient; --validation per_site expects at least 2 "
                "at each site, so choose --validation shared, fewer sites or a milder split."
            )
        parts[site] = hold_out(patients, share, rng, _one_group, keep=1)
    own = {site: _flat(validation) for site, (validation, _) in parts.items()}
    training = {site: _flat(trained) for site, (_, trained) in parts.items()}
    everyone = tuple(sorted((case for cases in own.values() for case in cases), key=lambda case: case.name))
    return replace(split, sites=training, validation=everyone, own_validation=own)


def _require_enough(patients: Sequence[Patient], options: SplitOptions, fewest: int) -> int:
    """Refuse fewer patients than the parts need; the number that must stay for the sites (at each institution)."""
    keep = fewest * (options.sites or 1)
    need = keep + (fewest == 1) + (options.test is not None)
    if len(patients) < need:
        raise InputError(
            f"{counted(len(patients), 'patient')} cannot be split into {options.sites or 'the'} sites with "
            f"{options.validation} validation{' and a test set' if options.test else ''}; "
            f"give cases of at least {need} patients, or take fewer sites."
        )
    return keep


def _require_drawn(
    patients: Sequence[Patient], options: SplitOptions, test: Sequence[Patient], shared: Sequence[Patient]
) -> None:
    """Refuse when every patient is the last of an institution, so that none could be drawn."""
    if (options.test and not test) or (options.validation == "shared" and not shared):
        raise InputError(
            f"No patient can be set apart for {'validation' if test or not options.test else 'the test'}: each of the "
            f"{len(patients)} is needed by an institution; choose another way such as --by iid, or give more cases."
        )


def _share(options: SplitOptions) -> float:
    return options.validation_share or 0.0


def _one_group(patient: Patient) -> str:
    return ""


def _flat(patients: Sequence[Patient]) -> tuple[CaseFiles, ...]:
    return tuple(sorted((case for patient in patients for case in patient), key=lambda case: case.name))
