"""Splits of BraTS cases: by grade, by institution or by tumour volume."""

from collections.abc import Mapping, Sequence
from typing import Literal

from fedmed.core.errors import InputError, counted
from fedmed.data.brats.brats_layout import GRADES, CaseFiles, institution_of
from fedmed.data.brats.split_options import SplitOptions
from fedmed.data.splits.partition import Fact, FactsOf, Split, by_patient
from fedmed.data.splits.split_cases import SplitPlan, draw_split
from fedmed.data.splits.split_choices import plan_of

Volumes = Mapping[str, float]
"""Whole-tumour volume in ml, by case name."""

GRADE, INSTITUTION, VOLUME = "grade", "institution", "volume_ml"
"""The names of the facts of a case."""

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
    """Draw a split in any way but ``published``, which draws nothing; :func:`draw_split` describes the properties.

    Args:
        cases: the cases.
        options: the way and its numbers.
        volumes: by case name; needed only where ``options.needs_volumes``.

    Raises:
        InputError: an option is wrong, there are too few patients, or the fact that the way goes by is not known.
    """
    options = options.completed()
    if options.by not in WAYS:
        raise ValueError(f"nothing is drawn for --by {options.by}")
    _require_facts(cases, options, volumes)
    return draw_split(by_patient(cases, facts_with(volumes)), _plan(options))


def _plan(options: SplitOptions) -> SplitPlan:
    """The plan of completed options."""
    way, by = WAYS[options.by]
    return plan_of(options, way, VOLUME if options.needs_volumes else by, GRADE)


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
