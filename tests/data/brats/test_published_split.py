"""The published split: its sizes, its balance, and what it does not depend on."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fedmed.core.errors import InputError
from fedmed.data.brats.brats_layout import CaseFiles
from fedmed.data.brats.brats_split import published_split
from fedmed.data.splits.partition import Split, apportion


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


def parts_of(split: Split) -> list[tuple[CaseFiles, ...]]:
    return [*split.sites.values(), split.validation]


def sizes(split: Split) -> list[int]:
    return [len(part) for part in parts_of(split)]


BRATS_2018 = made_up(210, "HGG") + made_up(75, "LGG")


@pytest.mark.parametrize("seed", range(10))
def test_brats_2018_gives_the_published_counts(seed: int) -> None:
    split = published_split(BRATS_2018, seed)
    assert list(split.sites) == ["site-1", "site-2", "site-3", "site-4"]
    assert sizes(split) == [60, 61, 61, 60, 43]


@pytest.mark.parametrize("cases", [made_up(285, None), made_up(284, "HGG") + made_up(1, "LGG")])
def test_published_counts_whatever_the_grades(cases: list[CaseFiles]) -> None:
    assert sizes(published_split(cases, 1)) == [60, 61, 61, 60, 43]


def test_every_case_is_in_one_part() -> None:
    split = published_split(BRATS_2018, 3)
    names = [case.name for part in parts_of(split) for case in part]
    assert sorted(names) == sorted(case.name for case in BRATS_2018)


def test_order_of_the_cases_does_not_matter() -> None:
    shuffled = list(BRATS_2018)
    random.Random(5).shuffle(shuffled)
    assert published_split(shuffled, 3) == published_split(BRATS_2018, 3)


def test_seed_decides() -> None:
    assert published_split(BRATS_2018, 3) == published_split(BRATS_2018, 3)
    assert published_split(BRATS_2018, 3) != published_split(BRATS_2018, 4)


def test_validation_is_drawn_evenly() -> None:
    """Over many seeds each case validates about as often as any other: 43 of 285 times, binomially."""
    seeds = 300
    counts = Counter(case.name for seed in range(seeds) for case in published_split(BRATS_2018, seed).validation)
    expected = seeds * 43 / 285
    deviation = (expected * (1 - 43 / 285)) ** 0.5
    assert max(abs(counts[case.name] - expected) for case in BRATS_2018) < 5 * deviation


@pytest.mark.parametrize("seed", range(10))
def test_each_part_has_its_share_of_each_grade(seed: int) -> None:
    for part in parts_of(published_split(BRATS_2018, seed)):
        high = sum(case.grade == "HGG" for case in part)
        assert abs(high - len(part) * 210 / 285) < 1.5


@pytest.mark.parametrize("seed", range(5))
def test_visits_of_a_patient_stay_together(seed: int) -> None:
    cases = made_up(60, "HGG") + made_up(40, "HGG", visits=2, prefix="Q") + made_up(10, "LGG", visits=3)
    split = published_split(cases, seed)
    owners = [{case.patient for case in part} for part in parts_of(split)]
    assert sum(len(owner) for owner in owners) == 110
    assert len(set().union(*owners)) == 110
    assert sizes(split) == apportion(170, [60, 61, 61, 60, 43])


@pytest.mark.parametrize("visits", [2, 3])
def test_repeated_visits_only_come_near_the_counts(visits: int) -> None:
    cases = made_up(100, "HGG", visits)
    wanted = np.array([60, 61, 61, 60, 43]) * len(cases) / 285
    assert np.abs(np.array(sizes(published_split(cases, 0))) - wanted).max() <= visits


@pytest.mark.parametrize("number", range(5, 60))
def test_any_number_keeps_the_proportions(number: int) -> None:
    counts = sizes(published_split(made_up(number, None), 0))
    assert sum(counts) == number
    assert min(counts) >= 1
    assert all(abs(n - number * w / 285) < 1 for n, w in zip(counts, [60, 61, 61, 60, 43], strict=True))


def test_no_part_is_empty_beside_a_patient_of_many_visits() -> None:
    cases = made_up(1, "HGG", visits=10) + made_up(4, "LGG")
    assert sorted(sizes(published_split(cases, 0))) == [1, 1, 1, 1, 10]


def test_too_few_patients() -> None:
    with pytest.raises(InputError, match=r"8 cases of 4 patients .* at least 5 patients"):
        published_split(made_up(4, "HGG", visits=2), 0)
    with pytest.raises(InputError, match="0 cases"):
        published_split([], 0)


def test_negative_seed() -> None:
    with pytest.raises(InputError, match="seed is -1"):
        published_split(BRATS_2018, -1)
