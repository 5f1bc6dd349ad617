"""Splits of BraTS cases: by grade, by institution, by tumour volume, or in the proportions of the published lists."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from fedmed.core.errors import InputError, counted
from fedmed.data.brats.brats_layout import GRADES, CaseFiles, institution_of
from fedmed.data.brats.split_options import SplitOptions
from fedmed.data.splits.partition import Fact, FactsOf, Split, apportion, by_patient, deal, shuffled_by_stratum
from fedmed.data.splits.split_cases import SplitPlan, draw_split

Volumes = Mapping[str, float]
"""Whole-tumour volume in ml, by case name."""

GRADE, INSTITUTION, VOLUME = "grade", "institution", "volume_ml"
"""The names of the facts of a case."""

PUBLISHED_SITES = {"site-1": 60, "site-2": 61, "site-3": 61, "site-4": 60}
"""Training cases of each site in the published split of BraTS 2018's 285 cases."""

PUBLISHED_VALIDATION = 43
"""Validation cases, shared by all sites, in the published split."""

WAYS: Mapping[str, tuple[Literal["iid", "group", "order", "quantity", "dirichlet"], str]] = {
    "iid": ("iid", ""),
    "institution": ("group", INSTITUTION),
    "grade": ("order", GRADE),
    "tumour_volume": ("order", VOLUME),
    "quantity": ("quantity", ""),
    "dirichlet": ("dirichlet", GRADE),
}
"""The general way behind each way of the command line, and the fact that it goes by."""


def facts_with(volumes: Volumes) -> FactsOf[CaseFiles]:
    """Gives the facts of a case; its volume is None where ``volumes`` lacks it."""

    def facts(case: CaseFiles) -> dict[str, Fact]:
        return {GRADE: case.grade, INSTITUTION: institution_of(case.name), VOLUME: volumes.get(case.name)}

    return facts


def split_cases(cases: Sequence[CaseFiles], options: SplitOptions, volumes: Volumes) -> Split[CaseFiles]:
    """Split cases as the options state; :func:`draw_split` describes the properties.

    Args:
        cases: the cases.
        options: the way and its numbers.
        volumes: by case name; needed only where ``options.needs_volumes``.

    Raises:
        InputError: an option is wrong, there are too few patients, or the fact that the way goes by is not known.
    """
    options = options.completed()
    if options.by == "published":
        return published_split(cases, options.seed)
    _require_facts(cases, options, volumes)
    return draw_split(by_patient(cases, facts_with(volumes)), _plan(options))


def published_split(cases: Sequence[CaseFiles], seed: int) -> Split[CaseFiles]:
    """Split cases as the published lists do: 60, 61, 61 and 60 for training at four sites, 43 for validation.

    Another number of cases is split in the same proportions, with at least one case in each part. Each part has its
    share of every grade to within about one patient, a patient's visits stay together, and 285 patients of one
    visit each give exactly the published counts. The split depends on the seed (0 or more) and on the set of cases,
    not on their order. It is a split like the published one, not the published one itself, which those lists give.

    Raises:
        InputError: the cases come from fewer patients than there are parts (five), or the seed is negative.
    """
    patients = by_patient(cases, facts_with({}))
    weights = [*PUBLISHED_SITES.values(), PUBLISHED_VALIDATION]
    if len(patients) < len(weights):
        raise InputError(
            f"{counted(len(cases), 'case')} of {counted(len(patients), 'patient')} cannot be split into "
            f"{len(PUBLISHED_SITES)} sites and one validation set; give cases of at least {len(weights)} patients."
        )
    if seed < 0:
        raise InputError(f"The seed is {seed}; give a whole number of 0 or more.")
    ordered = shuffled_by_stratum(patients, GRADE, np.random.default_rng(seed))
    *sites, validation = deal(ordered, apportion(len(cases), weights))
    return Split(dict(zip(PUBLISHED_SITES, sites, strict=True)), validation)


def _plan(options: SplitOptions) -> SplitPlan:
    """The plan of completed options."""
    way, by = WAYS[options.by]
    numbers = {"alpha": options.alpha, "power": options.power, "validation_share": options.validation_share}
    return SplitPlan(
        way, GRADE, VOLUME if options.needs_volumes else by, options.sites,
        validation=options.validation or "shared", test=options.test, seed=options.seed,
        **{name: value for name, value in numbers.items() if value is not None},
    )  # fmt: skip


def _require_facts(cases: Sequence[CaseFiles], options: SplitOptions, volumes: Volumes) -> None:
    """Refuse cases that lack the fact by which they shall be split."""
    if options.needs_grades:
        _require_grades(cases)
    if options.by == "institution":
        _require_institutions(cases)
    unknown = sorted(case.name for case in cases if case.name not in volumes) if options.needs_volumes else []
    if unknown:
        raise InputError(
            f"The tumour volume of {unknown[0]} is not known; expected one for every case, so repair its label file."
        )


def _require_grades(cases: Sequence[CaseFiles]) -> None:
    without = [patient.cases[0].name for patient in by_patient(cases) if patient.cases[0].grade is None]
    if without:
        raise InputError(
            f"{counted(len(without), 'patient')} without a grade, such as {without[0]}; expected each case in a folder "
            f"{' or '.join(GRADES)}, so put them there, or choose another way such as --by iid."
        )


def _require_institutions(cases: Sequence[CaseFiles]) -> None:
    without = sorted(case.name for case in cases if institution_of(case.name) is None)
    if without:
        raise InputError(
            f"The case name {without[0]} states no institution; expected names of BraTS 2017 to 2019 such as "
            "Brats18_CBICA_AAB_1, so choose another way such as --by iid."
        )
