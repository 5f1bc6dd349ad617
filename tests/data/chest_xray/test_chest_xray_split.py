"""Splits of chest films: patients are never taken apart, whatever the way; published lists are kept."""

from collections.abc import Sequence

import numpy as np
import pytest

from fedmed.core.errors import InputError
from fedmed.data.chest_xray.chest_xray_split import (
    ChestXraySplitOptions,
    facts_of_patients,
    part_films,
    split_chest_xray,
    split_warnings,
)
from fedmed.data.chest_xray.film import Film
from fedmed.data.chest_xray.findings import FINDINGS
from fedmed.data.splits.partition import Split
from tests.data.chest_xray.written_films import film

WAYS = ("iid", "official", "finding", "view", "age", "quantity")
PUBLISHED = {"train_val", "test"}


def films(patients: int = 60, published: bool = True) -> list[Film]:
    """One to four films a patient, of several findings, views and ages; every fifth patient is of the test."""
    rng, found = np.random.default_rng(0), []
    for patient in range(patients):
        part = ("test" if patient % 5 == 0 else "train_val") if published else ""
        for visit in range(1 + patient % 4):
            names = [FINDINGS[(patient + visit) % 14]] if rng.random() < 0.7 else []
            view = "AP" if (patient + visit) % 3 == 0 else "PA"
            found.append(film(f"{patient:08d}_{visit:03d}", names, view=view, age=20 + patient, part=part))
    return found


def drawn(cases: Sequence[Film], **options: object) -> Split[Film]:
    parts = {each.part for each in cases} - {""}
    return split_chest_xray(cases, ChestXraySplitOptions(**options).completed(parts))  # type: ignore[arg-type]


def patients(cases: Sequence[Film]) -> set[str]:
    return {each.patient for each in cases}


@pytest.mark.parametrize("validation", ["shared", "per_site"])
@pytest.mark.parametrize("by", WAYS)
def test_no_patient_is_in_two_parts_and_no_film_is_lost(by: str, validation: str) -> None:
    every = films()
    split = drawn(every, by=by, validation=validation)
    seen = [patients(part) for part in part_films(split).values()]
    assert sum(map(len, seen)) == len(set().union(*seen)) == 60
    assert sorted(each.name for each in split.cases) == sorted(each.name for each in every)
    assert {each.part for each in split.test} == {"test"}
    assert all(each.part != "test" for part in split.sites.values() for each in part)
    assert split.own_test is not None
    assert sorted(each.name for own in split.own_test.values() for each in own) == sorted(f.name for f in split.test)
    if validation == "per_site":
        assert split.own_validation is not None
        assert set(split.own_validation) == set(split.sites)
    assert drawn(every, by=by, validation=validation) == split


def test_by_view_each_site_is_of_patients_of_one_view() -> None:
    every = films()
    facts = facts_of_patients(every)
    split = drawn(every, by="view")
    assert split.groups == {"site-1": "AP", "site-2": "PA"}
    for site, own in split.sites.items():
        assert {facts(each)["view"] for each in own} == {split.groups[site]}


def test_by_age_the_sites_follow_each_other() -> None:
    split = drawn(films(), by="age")
    spans = [(min(each.age or 0 for each in own), max(each.age or 0 for each in own)) for own in split.sites.values()]
    assert spans[0][1] < spans[1][0]
    assert spans[1][1] < spans[2][0]


def test_by_finding_a_small_alpha_makes_unlike_sites_and_a_large_one_alike() -> None:
    every = films(400)
    facts = facts_of_patients(every)

    def distance(alpha: float) -> float:
        shares = []
        for own in drawn(every, by="finding", alpha=alpha).sites.values():
            counts = np.array([sum(facts(each)["finding"] == name for each in own) for name in FINDINGS], float)
            shares.append(counts / counts.sum())
        return float(np.abs(shares[0] - shares[1]).sum())

    assert distance(0.1) > 2 * distance(100)


def test_by_quantity_sizes_follow_the_power_law() -> None:
    sizes = [len(own) for own in drawn(films(300), by="quantity", power=1.0).sites.values()]
    assert sizes[0] == pytest.approx(2 * sizes[1], rel=0.1)
    assert sizes[0] == pytest.approx(3 * sizes[2], rel=0.1)


def test_a_patient_counts_as_the_rarest_finding_the_view_of_most_films_and_the_mean_age() -> None:
    every = [
        film("a_0", ["Mass", "Effusion"], view="AP", age=40), film("a_1", view="PA", age=50),
        film("b_0", ["Effusion"], view="AP", age=60), film("b_1", view="PA"), film("b_2", view="PA"),
        film("c_0", view="PA"),
    ]  # fmt: skip
    facts = facts_of_patients(every)
    assert facts(every[1]) == {"finding": "Mass", "view": "AP", "age": 45.0}  # of as many views the first film's
    assert facts(every[2]) == {"finding": "Effusion", "view": "PA", "age": 60.0}
    assert facts(every[5]) == {"finding": "No Finding", "view": "PA", "age": 52.5}  # the median of the others


def test_the_published_validation_is_everybodys_where_the_way_is_official() -> None:
    every = [
        film(f"{number:03d}_0", part=("train", "train", "train", "val", "test")[number % 5]) for number in range(50)
    ]  # fmt: skip
    split = drawn(every, by="official")
    assert [each.part for each in split.validation] == ["val"] * 10
    assert split.own_validation is None
    assert [len(own) for own in split.sites.values()] == [10] * 3
    assert len(split.test) == 10
    other = drawn(every, by="iid")  # draws its own validation from both lists
    assert {each.part for own in other.sites.values() for each in own} == {"train", "val"}
    with pytest.raises(InputError, match=r"--validation_share is 0.2; expected no value, as --by official takes val"):
        drawn(every, by="official", validation_share=0.2)


def test_without_lists_the_test_is_a_share_of_the_patients() -> None:
    split = drawn(films(published=False), test=0.25)
    assert len(patients(split.test)) == 15
    for options, said in (({"by": "official"}, "--by is official"), ({"test": "official"}, "--test is official")):
        with pytest.raises(InputError, match=f"{said}; expected a.* needs the published lists"):
            drawn(films(published=False), **options)


def test_a_test_of_ones_own_is_drawn_from_all_where_a_share_is_given() -> None:
    split = drawn(films(), test=0.25)
    assert {each.part for each in split.test} == {"train_val", "test"}
    with pytest.raises(InputError, match=r"--test is 0\.25; expected no share beside --by official"):
        drawn(films(), by="official", test=0.25)
    with pytest.raises(InputError, match="--test is half; expected official, or a share"):
        drawn(films(), test="half")


def test_a_patient_on_two_sides_of_the_published_lists_is_refused() -> None:
    every = [*films(), film("00000001_009", part="test")]
    with pytest.raises(InputError, match=r"1 patient with films on two sides .*00000001.*--test 0.2"):
        drawn(every)
    assert drawn(every, test=0.2).test


def test_views_and_ages_that_nobody_knows_are_refused_or_told() -> None:
    blind = [film(f"{number:03d}_0") for number in range(30)]
    with pytest.raises(InputError, match="No film has an age"):
        drawn(blind, by="age")
    with pytest.raises(InputError, match="30 patients of unknown view"):
        drawn(blind, by="view")
    some = [film(f"{number:03d}_0", age=None if number == 7 else number) for number in range(30)]
    options = ChestXraySplitOptions(by="age").completed(set())
    split = split_chest_xray(some, options)
    assert split_warnings(split, some, options) == [
        "1 patient of unknown age (007): they count as of the median age."
    ]  # fmt: skip


def test_films_in_no_published_list_are_left_out_and_told() -> None:
    every = [*films(), film("99999999_000")]
    options = ChestXraySplitOptions().completed(PUBLISHED)
    split = split_chest_xray(every, options)
    assert "99999999_000" not in {each.name for each in split.cases}
    assert split_warnings(split, every, options) == ["1 film in no published list, left out: 99999999_000."]
