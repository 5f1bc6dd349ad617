"""Dealing patients out in given proportions: sizes, balance, and that a patient's visits stay together."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fedmed.data.brats.brats_layout import CaseFiles
from fedmed.data.splits.partition import apportion, by_patient, deal, shuffled_by_grade

Parts = list[tuple[CaseFiles, ...]]

WEIGHTS = [60, 61, 61, 60, 43]


def made_up(number: int, grade: str | None, visits: int = 1, prefix: str = "P") -> list[CaseFiles]:
    """Cases of ``number`` patients."""
    cases = []
    for i in range(number):
        patient = f"{prefix}{grade}{i:03d}"
        for visit in range(visits):
            name = f"{patient}_{visit}"
            image = tuple(Path(name) / f"{name}_{part}.nii.gz" for part in ("t1ce", "t1", "t2", "flair"))
            cases.append(CaseFiles(name, image, Path(name) / f"{name}_seg.nii.gz", "brats2018", grade, patient))
    return cases


def dealt(cases: list[CaseFiles], seed: int) -> Parts:
    """The cases in parts in proportion to ``WEIGHTS``."""
    ordered = shuffled_by_grade(by_patient(cases), np.random.default_rng(seed))
    return deal(ordered, apportion(len(cases), WEIGHTS))


def sizes(parts: Parts) -> list[int]:
    return [len(part) for part in parts]


BRATS_2018 = made_up(210, "HGG") + made_up(75, "LGG")


@pytest.mark.parametrize("seed", range(10))
def test_parts_of_single_visits_have_exactly_their_sizes(seed: int) -> None:
    assert sizes(dealt(BRATS_2018, seed)) == WEIGHTS


@pytest.mark.parametrize("cases", [made_up(285, None), made_up(284, "HGG") + made_up(1, "LGG")])
def test_sizes_are_exact_whatever_the_grades(cases: list[CaseFiles]) -> None:
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
def test_each_part_has_its_share_of_each_grade(seed: int) -> None:
    for part in dealt(BRATS_2018, seed):
        high = sum(case.grade == "HGG" for case in part)
        assert abs(high - len(part) * 210 / 285) < 1.5


@pytest.mark.parametrize("seed", range(5))
def test_visits_of_a_patient_stay_together(seed: int) -> None:
    cases = made_up(60, "HGG") + made_up(40, "HGG", visits=2, prefix="Q") + made_up(10, "LGG", visits=3)
    parts = dealt(cases, seed)
    owners = [{case.patient for case in part} for part in parts]
    assert sum(len(owner) for owner in owners) == 110
    assert len(set().union(*owners)) == 110
    assert sizes(parts) == apportion(170, WEIGHTS)


@pytest.mark.parametrize("visits", [2, 3])
def test_repeated_visits_only_come_near_the_counts(visits: int) -> None:
    cases = made_up(100, "HGG", visits)
    wanted = np.array(WEIGHTS) * len(cases) / 285
    assert np.abs(np.array(sizes(dealt(cases, 0))) - wanted).max() <= visits


@pytest.mark.parametrize("number", range(5, 60))
def test_any_number_keeps_the_proportions(number: int) -> None:
    counts = sizes(dealt(made_up(number, None), 0))
    assert sum(counts) == number
    assert min(counts) >= 1
    assert all(abs(n - number * w / 285) < 1 for n, w in zip(counts, WEIGHTS, strict=True))


def test_no_part_is_empty_beside_a_patient_of_many_visits() -> None:
    cases = made_up(1, "HGG", visits=10) + made_up(4, "LGG")
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


def test_patients_are_dealt_by_grade_rarest_first() -> None:
    patients = by_patient(made_up(6, "HGG") + made_up(2, "HGG", visits=2, prefix="Q") + made_up(3, "LGG"))
    ordered = shuffled_by_grade(patients, np.random.default_rng(0))
    assert [patient[0].grade for patient in ordered] == ["LGG"] * 3 + ["HGG"] * 8
    assert [len(patient) for patient in ordered[3:]] == [2, 2, 1, 1, 1, 1, 1, 1]


def test_deal_to_other_parts() -> None:
    dealt = deal(by_patient(made_up(12, None)), [6, 4, 2])
    assert [len(part) for part in dealt] == [6, 4, 2]
