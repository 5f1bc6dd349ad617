"""Patients and the dealing of them: shares by hand, visits together, strata one after the other."""

import numpy as np
import pytest

from fedmed.core.errors import InputError
from fedmed.data.splits.partition import apportion, by_patient, deal, shuffled_by_stratum
from tests.data.splits.made_up import Picture, facts_of, pictures


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
