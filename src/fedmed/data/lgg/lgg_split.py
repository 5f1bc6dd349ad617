"""Splits of the lower-grade glioma set, by patient: by institution, or dealt out evenly, by size or by tumour."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fedmed.core.errors import InputError, counted
from fedmed.core.options import expect
from fedmed.data.lgg.lgg_layout import LggPatient
from fedmed.data.lgg.lgg_split_options import LggSplitOptions
from fedmed.data.lgg.scan_facts import ScanFacts
from fedmed.data.splits.partition import (
    Fact,
    FactsOf,
    Split,
    apportion,
    by_patient,
    deal,
    shuffled_by_stratum,
)
from fedmed.data.splits.partition_ways import iid
from fedmed.data.splits.split_cases import draw_split
from fedmed.data.splits.split_choices import plan_of

INSTITUTION, TUMOUR, SLICES = "institution", "tumour_percent", "slices"
"""The names of the facts of a patient."""

GROUP = "group"
"""The fact by which patients become sites by institution: the code, or the codes of institutions that are merged."""

WAYS = {"institution": "group"}
"""The general way behind each way of the command line, where it has another name."""


def facts_of_scans(facts: Mapping[str, ScanFacts]) -> FactsOf[LggPatient]:
    """Gives the facts of a patient as the record of a split has them."""

    def facts_of(patient: LggPatient) -> dict[str, Fact]:
        known = facts[patient.name]
        return {INSTITUTION: patient.institution, TUMOUR: known.tumour_percent, SLICES: known.slices}

    return facts_of


def split_lgg(
    patients: Sequence[LggPatient], options: LggSplitOptions, facts: Mapping[str, ScanFacts]
) -> Split[LggPatient]:
    """Draw a split of completed options without folds; ``draw_split`` describes the properties.

    Each site's test are its own patients, and those that are no site's: of the institution held out, and of small ones
    that join the test. So every site's model can be scored on the hospitals that nobody trained on.

    Raises:
        InputError: there is no such institution, there are too few patients, or a part has no tumour.
    """
    outside, inside = _outside(patients, options), _inside(patients, options)
    if not inside:
        raise InputError("No patient is left for the sites; hold out fewer, or give a smaller --fewest.")
    return _completed(_drawn(inside, options, facts), outside, options, facts)


def fold_splits(
    patients: Sequence[LggPatient], options: LggSplitOptions, facts: Mapping[str, ScanFacts]
) -> list[Split[LggPatient]]:
    """The splits of all folds: each patient is in the test of exactly one, and each fold has its share of institutions.

    Patients of small institutions that join the test are trained on in no fold.

    Raises:
        InputError: there are too few patients, or a part has no tumour.
    """
    folds = options.folds or 1
    expect(folds <= len(patients), "folds", folds, f"at most {len(patients)}, the number of patients")
    rng = np.random.default_rng([options.seed or 0, folds])
    shuffled = shuffled_by_stratum(by_patient(patients, facts_of_scans(facts)), INSTITUTION, rng)
    tests = deal(shuffled, apportion(len(patients), [1] * folds))
    for number, test in enumerate(tests, start=1):
        if not any(facts[patient.name].tumour_pixels for patient in test):
            raise InputError(f"Fold {number} has no tumour in its test; take fewer --folds, or another --seed.")
    return [_fold(patients, test, options, facts) for test in tests]


def _fold(
    patients: Sequence[LggPatient],
    test: Sequence[LggPatient],
    options: LggSplitOptions,
    facts: Mapping[str, ScanFacts],
) -> Split[LggPatient]:
    """The split of a fold with this test."""
    whole = _inside(patients, options)
    split = _drawn([patient for patient in whole if patient not in test], options, facts)
    own, outside = ([patient for patient in test if (patient in whole) == inside] for inside in (True, False))
    return _completed(replace(split, test=tuple(own)), outside, options, facts)


def _small(patients: Sequence[LggPatient], options: LggSplitOptions) -> set[str]:
    """The institutions with too few patients to be a site, where sites are institutions."""
    codes = [patient.institution for patient in patients]
    return {code for code in codes if codes.count(code) < (options.fewest or 1)}


def _outside(patients: Sequence[LggPatient], options: LggSplitOptions) -> list[LggPatient]:
    """The patients that are no site's.

    Raises:
        InputError: the institution that is held out has none.
    """
    codes = sorted({patient.institution for patient in patients})
    if options.hold_out is not None:
        expect(options.hold_out in codes, "hold_out", options.hold_out, f"one of {', '.join(codes)}")
    small = _small(patients, options) if options.small == "test" else set()
    return [patient for patient in patients if patient.institution in {options.hold_out, *small}]


def _inside(patients: Sequence[LggPatient], options: LggSplitOptions) -> list[LggPatient]:
    outside = _outside(patients, options)
    return [patient for patient in patients if patient not in outside]


def _drawn(
    patients: Sequence[LggPatient], options: LggSplitOptions, facts: Mapping[str, ScanFacts]
) -> Split[LggPatient]:
    """The sites' parts, and the test where a share is wanted."""
    grouped = by_patient(patients, _with_groups(patients, options, facts_of_scans(facts)))
    by = GROUP if options.by == "institution" else TUMOUR
    return draw_split(grouped, plan_of(options, WAYS.get(options.by, options.by), by, INSTITUTION))


def _with_groups(
    patients: Sequence[LggPatient], options: LggSplitOptions, facts_of: FactsOf[LggPatient]
) -> FactsOf[LggPatient]:
    """The facts with the group of each patient; small institutions that are merged go with the smallest other one."""
    codes = [patient.institution for patient in patients]
    small = _small(patients, options) if options.small == "merge" else set()
    large = sorted({*codes} - small, key=lambda code: (codes.count(code), code))
    if small and not large:
        raise InputError(
            f"All institutions have fewer than {counted(options.fewest or 1, 'patient')}, so that there is none to "
            "merge them with; give a smaller --fewest."
        )
    merged = "+".join([large[0], *sorted(small)]) if small else ""
    groups = {code: merged if code in {*small, large[0]} and merged else code for code in codes}
    return lambda patient: {**facts_of(patient), GROUP: groups[patient.institution]}


def _completed(
    split: Split[LggPatient],
    outside: Sequence[LggPatient],
    options: LggSplitOptions,
    facts: Mapping[str, ScanFacts],
) -> Split[LggPatient]:
    """The split with each site's test, and with the patients that are no site's in the test of all.

    Raises:
        InputError: a part has no tumour.
    """
    own = _own_test(split, options)
    test = {site: _sorted([*own[site], *outside]) for site in split.sites}
    whole = replace(split, own_test=test, test=_sorted([*split.test, *outside]))
    _require_tumour(whole, facts)
    return whole


def _own_test(split: Split[LggPatient], options: LggSplitOptions) -> dict[str, Sequence[LggPatient]]:
    """Each site's own test patients: those of its institutions, else an even share of everybody's."""
    if options.by == "institution":
        codes = {site: group.split("+") for site, group in split.groups.items()}
        return {site: [each for each in split.test if each.institution in codes[site]] for site in split.sites}
    if not split.test:
        return dict.fromkeys(split.sites, ())
    groups = by_patient(split.test, lambda patient: {INSTITUTION: patient.institution})
    if len(groups) < len(split.sites):
        raise InputError(
            f"The test has {counted(len(groups), 'patient')} for {len(split.sites)} sites; expected one at least for "
            "each, so take fewer sites or a larger test."
        )
    rng = np.random.default_rng(options.seed or 0)
    return dict(zip(split.sites, iid(groups, len(split.sites), INSTITUTION, rng), strict=True))


def _sorted(patients: Sequence[LggPatient]) -> tuple[LggPatient, ...]:
    return tuple(sorted(patients, key=lambda patient: patient.name))


def _require_tumour(split: Split[LggPatient], facts: Mapping[str, ScanFacts]) -> None:
    """Refuse a part of which every mask is empty: nothing could be learnt from it, or no Dice be told of it."""
    parts = {f"The training of {site}": patients for site, patients in split.sites.items()}
    parts |= {"The validation": split.validation, "The test": split.test}
    for part, patients in parts.items():
        if patients and not any(facts[patient.name].tumour_pixels for patient in patients):
            raise InputError(
                f"{part} has no tumour: all masks of its {counted(len(patients), 'patient')} are empty; choose another "
                "--seed, fewer sites, or a larger share."
            )
