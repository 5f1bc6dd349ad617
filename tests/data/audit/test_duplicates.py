"""The same image or patient in two places: which places matter, how much, and what is said."""

import pytest

from fedmed.data.audit.duplicates import MOST_NAMES, Listed, across_sites, within_a_site
from fedmed.data.audit.finding import Finding


def listed(name: str, split: str, images: str = "", patient: str | None = None) -> Listed:
    """A case with an image a letter."""
    return Listed(name, split, patient or f"patient of {name}", frozenset(images))


def within(*cases: Listed, allow_overlap: bool = False) -> list[Finding]:
    return list(within_a_site(cases, allow_overlap))


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    assert finding.sentence.endswith(".")
    return finding


def test_different_cases_are_not_mentioned() -> None:
    assert within(listed("a", "training", "xy"), listed("b", "training", "z"), listed("c", "validation", "w")) == []
    assert within(listed("a", "training"), listed("b", "validation")) == []


def test_one_image_twice_in_a_split_is_a_warning() -> None:
    finding = only(within(listed("a", "training", "xy"), listed("b", "training", "yz")))
    assert (finding.level, finding.check) == ("warning", "duplicate")
    assert "a (training) and b (training)" in finding.sentence
    assert "take one out" in finding.sentence


def test_several_images_in_common_are_one_finding() -> None:
    only(within(listed("a", "training", "wxyz"), listed("b", "training", "wxyz")))


def test_a_case_that_is_listed_twice_is_a_warning() -> None:
    finding = only(within(listed("a", "training", "x"), listed("a", "training", "x")))
    assert finding.level == "warning"
    assert "a is listed twice for training" in finding.sentence


@pytest.mark.parametrize(("allow_overlap", "level"), [(False, "error"), (True, "warning")])
@pytest.mark.parametrize("other", ["a", "b"])
def test_an_image_in_training_and_validation_is_an_error(allow_overlap: bool, level: str, other: str) -> None:
    cases = listed("a", "training", "x"), listed(other, "validation", "x")
    finding = only(within(*cases, allow_overlap=allow_overlap))
    assert (finding.level, finding.check) == (level, "overlap")
    assert f"a (training) and {other} (validation)" in finding.sentence
    assert "--allow_overlap" in finding.sentence


@pytest.mark.parametrize(("allow_overlap", "level"), [(False, "error"), (True, "warning")])
def test_a_patient_in_training_and_validation_is_an_error(allow_overlap: bool, level: str) -> None:
    cases = listed("a", "training", "x", "Patient 7"), listed("b", "validation", "y", "Patient 7")
    finding = only(within(*cases, allow_overlap=allow_overlap))
    assert (finding.level, finding.check) == (level, "overlap")
    assert "Patient 7" in finding.sentence
    assert "--allow_overlap" in finding.sentence


def test_a_patient_with_two_scans_in_one_split_is_nothing() -> None:
    assert within(listed("a", "training", "x", "p"), listed("b", "training", "y", "p")) == []


def test_a_patient_whose_images_tell_it_is_not_told_twice() -> None:
    assert (
        "same images" in only(within(listed("a", "training", "x", "p"), listed("b", "validation", "x", "p"))).sentence
    )


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (2, 1, 0)])
def test_that_holds_for_a_patient_with_several_scans_in_any_order(order: tuple[int, ...]) -> None:
    cases = [listed("a", "training", "x", "p"), listed("b", "training", "y", "p"), listed("c", "validation", "y", "p")]
    assert "same images" in only(within(*(cases[i] for i in order))).sentence


def test_three_of_a_kind_are_told_in_pairs() -> None:
    cases = listed("a", "training", "x"), listed("b", "training", "x"), listed("c", "validation", "x")
    assert sorted(finding.level for finding in within(*cases)) == ["error", "error", "warning"]


def test_cases_that_know_no_split_are_called_by_their_names() -> None:
    sentence = only(within(listed("a", "", "x"), listed("b", "", "x"))).sentence
    assert sentence.startswith("a and b hold the same images")


def site(training: str = "", validation: str = "") -> dict[str, dict[str, str]]:
    """An image a letter, each called by the site's own name for it."""
    return {"training": {x: f"case {x}" for x in training}, "validation": {x: f"case {x}" for x in validation}}


def across(allow_overlap: bool = False, **sites: dict[str, dict[str, str]]) -> list[Finding]:
    return list(across_sites(sites, allow_overlap))


def test_sites_with_nothing_in_common_are_not_mentioned() -> None:
    assert across(one=site("ab", "c"), two=site("d", "e"), three=site()) == []
    assert across(one=site("ab", "c")) == []
    assert across(one={}, two=site("a")) == []


def test_validation_cases_that_sites_share_are_nothing() -> None:
    assert across(one=site("a", "xyz"), two=site("b", "xyz")) == []


@pytest.mark.parametrize(("allow_overlap", "level"), [(False, "error"), (True, "warning")])
@pytest.mark.parametrize("trains", ["one", "two"])
def test_training_here_and_validation_there_is_an_error_in_both_directions(
    allow_overlap: bool, level: str, trains: str
) -> None:
    validates = "two" if trains == "one" else "one"
    finding = only(across(allow_overlap, **{trains: site("a"), validates: site("", "a")}))
    assert (finding.level, finding.check) == (level, "overlap")
    assert f"{trains} trains on what {validates} validates on: case a" in finding.sentence
    assert "--allow_overlap" in finding.sentence


@pytest.mark.parametrize(("split", "words"), [("training", "trains on"), ("validation", "validates on")])
@pytest.mark.parametrize(("allow_overlap", "level"), [(False, "error"), (True, "warning")])
def test_what_is_tested_on_may_be_used_nowhere_else(split: str, words: str, allow_overlap: bool, level: str) -> None:
    sites = {"site-1": site("a", "b") | {split: {"x": "case x"}}, "test.json": {"test": {"x": "case x", "y": "case y"}}}
    finding = only(list(across_sites(sites, allow_overlap)))
    assert (finding.level, finding.check) == (level, "overlap")
    assert f"site-1 {words} what test.json tests on: case x;" in finding.sentence


def test_training_at_both_is_a_warning() -> None:
    finding = only(across(one=site("a"), two=site("a")))
    assert (finding.level, finding.check) == ("warning", "duplicate")
    assert "one and two train on the same images: case a" in finding.sentence
    assert "take them out" in finding.sentence


def test_every_pair_of_sites_is_compared() -> None:
    assert len(across(one=site("a"), two=site("a"), three=site("a"))) == 3


@pytest.mark.parametrize("count", [1, MOST_NAMES, MOST_NAMES + 1, 12])
def test_at_most_a_few_images_are_named(count: int) -> None:
    letters = "abcdefghijkl"[:count]
    for finding in (
        only(across(one=site(letters), two=site("", letters))),
        only(across(one=site(letters), two=site(letters))),
    ):
        assert finding.sentence.count("case ") == min(count, MOST_NAMES)
        assert (f"and {count - MOST_NAMES} more" in finding.sentence) == (count > MOST_NAMES)
