"""A case unlike its site's others is named; a site that is merely varied is left alone."""

import math

import numpy as np
import pytest

from fedmed.data.audit.case_facts import CaseFacts, image_facts
from fedmed.data.audit.finding import Finding
from fedmed.data.audit.outliers import FAR, FEWEST_CASES, MOST_NAMES, USUAL_SPREAD, far_from_the_others, outliers
from fedmed.data.image_file import ImageFile


def case(seed: int, factor: float = 1.0, offset: float = 0.0, size: int = 8, spacing: float = 1.0) -> CaseFacts:
    """A block of tissue in a border of zeros."""
    values = np.pad(np.random.default_rng(seed).uniform(90, 110, (size, size, size)) * factor + offset, 2)
    image = ImageFile(values, 3, np.diag([spacing] * 3 + [1]), (spacing,) * 3)
    return CaseFacts({"t1": image_facts(image)}, None, None, 0.0)


def picture(seed: int, width: int = 20) -> CaseFacts:
    values = np.random.default_rng(seed).integers(90, 110, (20, width), dtype=np.uint8)
    return CaseFacts({"photo": image_facts(ImageFile(values, 2))}, None, None, 0.0)


def found(count: int, **odd: CaseFacts) -> list[Finding]:
    """Of ``count`` cases that are alike and the odd ones."""
    return list(outliers({f"usual-{i}": case(i) for i in range(count)} | odd))


def test_cases_that_are_alike_are_not_mentioned() -> None:
    assert found(10) == []


@pytest.mark.parametrize(
    ("odd", "what"),
    [
        (case(99, factor=50), "median t1 intensity"),
        (case(99, factor=0.02), "median t1 intensity"),
        (case(99, factor=20, offset=-1900), "range of t1 intensities"),
        (case(99, spacing=2.0), "tissue volume in ml"),
        (case(99, size=4), "tissue volume in ml"),
        (case(99, spacing=2.0), "extent along axis 3 in mm"),
    ],
)
def test_one_odd_case_among_many_is_named(odd: CaseFacts, what: str) -> None:
    every = found(9, odd=odd)
    (sentence,) = [finding.sentence for finding in every if f"in {what}," in finding.sentence]
    assert sentence.startswith("odd (")
    assert "10 cases" in sentence
    assert "look whether" in sentence
    assert not any("usual-" in finding.sentence for finding in every)
    assert {(finding.level, finding.check) for finding in every} == {("warning", "outlier")}


def test_the_sentence_gives_the_value_and_the_median() -> None:
    odd = case(99, factor=50)
    (sentence,) = [finding.sentence for finding in found(9, odd=odd) if "median t1 intensity" in finding.sentence]
    assert odd.images["t1"].intensities is not None
    assert f"{odd.images['t1'].intensities.median:.4g}" in sentence


def test_few_cases_are_not_judged() -> None:
    odd = case(99, factor=50)
    assert found(FEWEST_CASES - 2, odd=odd) == []
    assert found(FEWEST_CASES - 1, odd=odd) != []


def test_many_odd_cases_are_one_finding_a_figure() -> None:
    odd = {f"odd-{i}": case(i, factor=50) for i in range(MOST_NAMES + 2)}
    (sentence,) = [finding.sentence for finding in found(20, **odd) if "median t1 intensity" in finding.sentence]
    assert sentence.count("odd-") == MOST_NAMES
    assert "and 2 more" in sentence


def test_figures_that_are_not_above_0_are_passed_over() -> None:
    """Normalised images have medians around 0, of which a logarithm says nothing."""
    cases = {str(i): case(i, offset=-100) for i in range(10)}
    assert not any("median t1" in finding.sentence for finding in outliers(cases))


def test_an_empty_image_is_no_outlier_in_intensity() -> None:
    assert not any("intensit" in finding.sentence for finding in found(9, odd=case(99, factor=0)))


def test_pictures_are_compared_in_pixels() -> None:
    cases = {f"usual-{i}": picture(i) for i in range(9)} | {"odd": picture(99, width=200)}
    (finding,) = outliers(cases)
    assert "extent along axis 2 in pixels" in finding.sentence
    assert finding.sentence.startswith("odd (200)")


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize(("share", "far"), [(0.98, []), (1.02, ["odd"])])
def test_among_equals_the_usual_spread_decides(direction: int, share: float, far: list[str]) -> None:
    values = {str(i): 100.0 for i in range(9)} | {"odd": 100 * math.exp(direction * share * FAR * USUAL_SPREAD)}
    assert far_from_the_others(values) == far


@pytest.mark.parametrize("factor", [1.1, 1.5, 2, 3, 8, 1000])
@pytest.mark.parametrize("spread", [0.0, 0.1, 0.3])
def test_a_factor_and_its_inverse_are_equally_far(factor: float, spread: float) -> None:
    usual = {str(i): 7 * math.exp(spread * i) for i in range(-4, 5)}
    larger, smaller = ({**usual, "odd": 7 * value} for value in (factor, 1 / factor))
    mirrored = {name: 49 / value for name, value in larger.items()}
    assert ("odd" in far_from_the_others(larger)) == ("odd" in far_from_the_others(smaller))
    assert far_from_the_others(larger) == far_from_the_others(mirrored)


def test_the_unit_does_not_matter() -> None:
    values = {str(i): 10.0 + i for i in range(9)} | {"odd": 500.0}
    assert far_from_the_others(values) == far_from_the_others({k: v / 1000 for k, v in values.items()}) == ["odd"]


def test_a_spread_is_tolerated_and_one_beyond_it_is_not() -> None:
    """Neighbours differ by a factor of 1.6: twenty-fold is usual here, a million-fold is not."""
    values = {str(i): math.exp(0.5 * i) for i in range(-4, 5)}
    assert far_from_the_others(values) == []
    assert far_from_the_others(values | {"odd": math.exp(0.5 * 6)}) == []
    assert far_from_the_others(values | {"odd": 1e6}) == ["odd"]


def test_an_odd_case_does_not_hide_itself_or_others() -> None:
    values = {str(i): 100.0 + i for i in range(8)} | {"odd": 1e4, "odder": 1e9}
    assert far_from_the_others(values) == ["odd", "odder"]
