"""Dealing patients out in given proportions: sizes, balance, and that a patient's visits stay together."""

import random
from collections import Counter

import numpy as np
import pytest

from fedmed.core.errors import InputError
from fedmed.data.splits.partition import apportion, by_patient, deal, shuffled_by_stratum
from tests.data.splits.made_up import Picture, facts_of, pictures

Parts = list[tuple[Picture, ...]]

WEIGHTS = [60, 61, 61, 60, 43]


def dealt(cases: list[Picture], seed: int) -> Parts:
    """The cases in parts in proportion to ``WEIGHTS``."""
    ordered = shuffled_by_stratum(by_patient(cases, facts_of), "class", np.random.default_rng(seed))
    return deal(ordered, apportion(len(cases), WEIGHTS))


def sizes(parts: Parts) -> list[int]:
    return [len(part) for part in parts]


BRATS_2018 = pictures(210, "normal") + pictures(75, "glioma")


@pytest.mark.parametrize("seed", range(10))
def test_parts_of_single_visits_have_exactly_their_sizes(seed: int) -> None:
    assert sizes(dealt(BRATS_2018, seed)) == WEIGHTS


@pytest.mark.parametrize("cases", [pictures(285, None), pictures(284, "normal") + pictures(1, "glioma")])
def test_sizes_are_exact_whatever_the_classes(cases: list[Picture]) -> None:
    assert sizes(dealt(cases, 1)) == WEIGHTS


def test_every_case_is_in_one_part() -> None:
    parts = dealt(BRATS_2018, 3)
    names = [case.name for part in parts for case in part]
    assert sorted(names) == sorted(case.name for case in BRATS_2018)


def test_order_of_the_cases_does_not_matter() -> None:
    shuffled = list(BRATS_2018)
    random.Random(5).shuffle(shuffled)
    assert dealt(shuffled, 3) == dealt(BRATS_2018, 3)


def test_seed_decides() -> None:
    assert dealt(BRATS_2018, 3) == dealt(BRATS_2018, 3)
    assert dealt(BRATS_2018, 3) != dealt(BRATS_2018, 4)


def test_the_last_part_is_drawn_evenly() -> None:
    """Over many seeds each case is in it about as often as any other: 43 of 285 times, binomially."""
    seeds = 300
    counts = Counter(case.name for seed in range(seeds) for case in dealt(BRATS_2018, seed)[-1])
    expected = seeds * 43 / 285
    deviation = (expected * (1 - 43 / 285)) ** 0.5
    assert max(abs(counts[case.name] - expected) for case in BRATS_2018) < 5 * deviation


@pytest.mark.parametrize("seed", range(10))
def test_each_part_has_its_share_of_each_class(seed: int) -> None:
    for part in dealt(BRATS_2018, seed):
        high = sum(case.kind == "normal" for case in part)
        assert abs(high - len(part) * 210 / 285) < 1.5


@pytest.mark.parametrize("seed", range(5))
def test_visits_of_a_patient_stay_together(seed: int) -> None:
    cases = pictures(60, "normal") + pictures(40, "normal", each=2, prefix="q") + pictures(10, "glioma", each=3)
    parts = dealt(cases, seed)
    owners = [{case.patient for case in part} for part in parts]
    assert sum(len(owner) for owner in owners) == 110
    assert len(set().union(*owners)) == 110
    assert sizes(parts) == apportion(170, WEIGHTS)


@pytest.mark.parametrize("visits", [2, 3])
def test_repeated_visits_only_come_near_the_counts(visits: int) -> None:
    cases = pictures(100, "normal", visits)
    wanted = np.array(WEIGHTS) * len(cases) / 285
    assert np.abs(np.array(sizes(dealt(cases, 0))) - wanted).max() <= visits


@pytest.mark.parametrize("number", range(5, 60))
def test_any_number_keeps_the_proportions(number: int) -> None:
    counts = sizes(dealt(pictures(number, None), 0))
    assert sum(counts) == number
    assert min(counts) >= 1
    assert all(abs(n - number * w / 285) < 1 for n, w in zip(counts, WEIGHTS, strict=True))


def test_no_part_is_empty_beside_a_patient_of_many_visits() -> None:
    cases = pictures(1, "normal", each=10) + pictures(4, "glioma")
    assert sorted(sizes(dealt(cases, 0))) == [1, 1, 1, 1, 10]


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [
        (285, [60, 61, 61, 60, 43], [60, 61, 61, 60, 43]),
        (10, [1, 1, 1], [4, 3, 3]),
        (7, [3, 2, 2], [3, 2, 2]),
        (100, [47, 16, 158, 12, 1, 1], [20, 7, 67, 5, 1, 0]),
        (0, [1, 2], [0, 0]),
    ],
)
def test_apportion_by_largest_remainder(total: int, weights: list[int], shares: list[int]) -> None:
    assert apportion(total, weights) == shares


def test_patients_are_dealt_by_stratum_rarest_first() -> None:
    cases = pictures(6, "normal") + pictures(2, "normal", each=2, prefix="q") + pictures(3, "glioma")
    ordered = shuffled_by_stratum(by_patient(cases, facts_of), "class", np.random.default_rng(0))
    assert [patient.text("class") for patient in ordered] == ["glioma"] * 3 + ["normal"] * 8
    assert [len(patient) for patient in ordered[3:]] == [2, 2, 1, 1, 1, 1, 1, 1]


def test_deal_to_other_parts() -> None:
    dealt = deal(by_patient(pictures(12, None)), [6, 4, 2])
    assert [len(part) for part in dealt] == [6, 4, 2]


def test_a_patients_facts_are_the_first_text_and_the_mean_number() -> None:
    cases = [Picture("b", "p", "glioma", 31.0), Picture("a", "p", "normal", 30.0), Picture("c", "q", None, None)]
    first, second = by_patient(cases, facts_of)
    assert (first.name, [case.name for case in first.cases]) == ("p", ["a", "b"])
    assert (first.text("class"), first.number("age")) == ("normal", 30.5)
    for ask in (second.text, second.number):
        with pytest.raises(InputError, match="of c is not known"):
            ask("class")


def test_a_number_that_one_visit_lacks_is_not_known() -> None:
    (patient,) = by_patient([Picture("a", "p", "x", None), Picture("b", "p", "x", 3.0)], facts_of)
    with pytest.raises(InputError, match="The age of a is not known"):
        patient.number("age")
