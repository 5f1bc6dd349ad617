"""Splits of patients by institution and otherwise, and folds: nobody on two sides, everybody tested once."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fedmed.core.errors import InputError
from fedmed.data.lgg.lgg_layout import LggPatient
from fedmed.data.lgg.lgg_split import fold_splits, split_lgg
from fedmed.data.lgg.lgg_split_options import LggSplitOptions
from fedmed.data.splits.partition import Split
from tests.data.lgg.written_scans import facts

REAL = {"CS": 16, "DU": 45, "EZ": 1, "FG": 14, "HT": 34}
"""Patients of each institution of the real set."""


def patients(institutions: dict[str, int]) -> list[LggPatient]:
    return [
        LggPatient(Path(f"TCGA_{code}_{number:03d}_1"), f"TCGA_{code}_{number:03d}", code, ())
        for code, count in institutions.items()
        for number in range(count)
    ]


EVERYBODY = patients(REAL)
FACTS = {patient.name: facts(percent=float(place)) for place, patient in enumerate(EVERYBODY)}


def split(**options: Any) -> Split[LggPatient]:
    return split_lgg(EVERYBODY, LggSplitOptions(**options).completed(), FACTS)


def codes(cases: Any) -> Counter[str]:
    return Counter(patient.institution for patient in cases)


def parts(found: Split[LggPatient]) -> list[LggPatient]:
    return [*(each for cases in found.sites.values() for each in cases), *found.validation, *found.test]


@pytest.mark.parametrize("by", ["institution", "iid", "quantity", "dirichlet"])
@pytest.mark.parametrize("validation", ["per_site", "shared"])
def test_every_patient_is_in_one_part_alone(by: str, validation: str) -> None:
    found = split(by=by, validation=validation)
    assert sorted(each.name for each in parts(found)) == sorted(each.name for each in EVERYBODY)
    assert {each for own in (found.own_test or {}).values() for each in own} == {*found.test}
    assert all(found.validation_of(site) for site in found.sites)
    assert len(found.test) == pytest.approx(0.2 * len(EVERYBODY), abs=2)


def test_a_site_is_an_institution_and_the_only_patient_of_one_is_tested_by_all() -> None:
    found = split()
    assert found.groups == {"site-1": "CS", "site-2": "DU", "site-3": "FG", "site-4": "HT"}
    for site, code in found.groups.items():
        assert {*codes(found.sites[site])} == {*codes(found.validation_of(site))} == {code}
        assert {*codes((found.own_test or {})[site])} == {code, "EZ"}
    assert codes(found.test)["EZ"] == 1


def test_small_institutions_may_be_merged_or_stay_alone() -> None:
    merged = split(small="merge")
    assert [*merged.groups.values()] == ["CS", "DU", "FG+EZ", "HT"]
    assert codes([*merged.sites["site-3"], *merged.validation_of("site-3")])["EZ"] == 1
    alone = split(small="site", validation="shared")
    assert [*alone.groups.values()] == ["CS", "DU", "EZ", "FG", "HT"]
    assert codes(alone.sites["site-3"]) == {"EZ": 1}
    with pytest.raises(InputError, match="site-3 EZ gets one patient"):
        split(small="site")
    assert [*split(fewest=15).groups.values()] == ["CS", "DU", "HT"]


@pytest.mark.parametrize("by", ["institution", "iid"])
def test_an_institution_that_is_held_out_is_the_test_of_every_site_and_of_none_its_training(by: str) -> None:
    found = split(by=by, hold_out="DU")
    assert codes(found.test)["DU"] == REAL["DU"]
    assert {*codes(found.test)} <= {"DU", "EZ"}
    for site, cases in found.sites.items():
        assert codes([*cases, *found.validation_of(site)])["DU"] == 0
        assert codes((found.own_test or {})[site])["DU"] == REAL["DU"]
    assert len(parts(found)) == len(EVERYBODY)


def test_dirichlet_goes_by_the_size_of_the_tumour() -> None:
    """With a small alpha each site gets a few quartiles of size, with a large one all of them evenly."""

    def spread(alpha: float) -> float:
        found = split(by="dirichlet", alpha=alpha, sites=3)
        means = [sum(FACTS[each.name].tumour_percent for each in cases) / len(cases) for cases in found.sites.values()]
        return max(means) - min(means)

    assert spread(0.05) > 2 * spread(1000)


@pytest.mark.parametrize("by", ["institution", "iid"])
def test_each_patient_is_tested_in_exactly_one_fold_of_balanced_ones(by: str) -> None:
    found = fold_splits(EVERYBODY, LggSplitOptions(by=by, folds=5).completed(), FACTS)  # type: ignore[arg-type]
    assert sorted(each.name for one in found for each in one.test) == sorted(each.name for each in EVERYBODY)
    for one in found:
        assert len(one.test) == 22
        assert all(abs(codes(one.test)[code] - number / 5) <= 1 for code, number in REAL.items())
        names = [each.name for each in parts(one)]
        assert len(names) == len({*names})
        assert {each for own in (one.own_test or {}).values() for each in own} == {*one.test}
        if by == "institution":
            assert codes(case for cases in one.sites.values() for case in cases)["EZ"] == 0


def test_the_seed_decides_and_the_order_of_patients_does_not() -> None:
    options = LggSplitOptions().completed()
    assert split_lgg(EVERYBODY[::-1], options, FACTS) == split()
    assert split(seed=1) != split()


def test_parts_without_tumour_are_refused() -> None:
    few = patients({"CS": 10, "DU": 10})
    options = LggSplitOptions(fewest=1).completed()
    empty = {each.name: facts(tumour_pixels=10 * (each.institution == "DU")) for each in few}
    with pytest.raises(InputError, match="The training of site-1 has no tumour"):
        split_lgg(few, options, empty)
    one = {each.name: facts(tumour_pixels=10 * (place == 0)) for place, each in enumerate(few)}
    with pytest.raises(InputError, match=r"Fold \d has no tumour in its test"):
        fold_splits(few, LggSplitOptions(by="iid", folds=4, sites=2).completed(), one)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hold_out": "XY"}, "--hold_out is XY; expected one of CS, DU, EZ, FG, HT"),
        ({"hold_out": "DU", "folds": 5}, "--folds is 5; expected no value beside --hold_out"),
        ({"hold_out": "DU", "test": 0.2}, "--test is 0.2; expected no value beside --hold_out"),
        ({"folds": 5, "test": 0.2}, "--test is 0.2; expected no value beside --folds"),
        ({"folds": 1}, "--folds is 1; expected a whole number from 2"),
        ({"fewest": 0}, "--fewest is 0"),
        ({"by": "iid", "small": "merge"}, "--small is merge; expected no value with --by iid"),
        ({"sites": 3}, "--sites is 3; expected no value with --by institution"),
        ({"by": "iid", "sites": 30}, "The test has 22 patients for 30 sites"),
        ({"small": "merge", "fewest": 50}, "All institutions have fewer than 50 patients"),
        ({"fewest": 50}, "No patient is left for the sites"),
    ],
)
def test_choices_that_cannot_be_are_one_sentence(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        split(**options)
    assert words in str(caught.value)


def test_more_folds_than_patients_are_refused() -> None:
    with pytest.raises(InputError, match="at most 3, the number of patients"):
        fold_splits(EVERYBODY[:3], LggSplitOptions(folds=4).completed(), FACTS)
