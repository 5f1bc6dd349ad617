"""Splits of brain MR images: by hospital or dealt out, stratified by class, no group on two sides."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fedmed.core.errors import InputError
from fedmed.data.brain_mri.brain_image import BrainImage
from fedmed.data.brain_mri.brain_mri_split import BrainMriSplitOptions, split_brain_mri
from fedmed.data.brain_mri.classes import CLASSES
from fedmed.data.splits.partition import Split

HOSPITALS = ("North", "South", "East")
WAYS = ("hospital", "iid", "quantity", "dirichlet")


def image(index: int, hospital: str, label: str, group: int = -1, official_test: bool = False) -> BrainImage:
    file = f"{hospital or 'merged'}/{label}/{index:04d}.png"
    return BrainImage(index, Path("/set") / file, file, label, hospital, official_test, group if group >= 0 else index)


def images_of(hospitals: tuple[str, ...] = HOSPITALS, each: int = 40, copied: int = 0) -> list[BrainImage]:
    """``each`` images a class of each hospital; the first ``copied`` of a class are near copies across hospitals."""
    found: list[BrainImage] = []
    for hospital in hospitals:
        for place, label in enumerate(CLASSES):
            for number in range(each):
                group = place * each + number if number < copied else -1
                found.append(image(len(found), hospital, label, group))
    return found


def drawn(images: list[BrainImage], merged: bool = False, **options: object) -> Split[BrainImage]:
    completed = BrainMriSplitOptions(**options).completed(merged)  # type: ignore[arg-type]
    names = tuple(dict.fromkeys(image.hospital for image in images if image.hospital))
    return split_brain_mri(images, completed, names)


def sides(split: Split[BrainImage]) -> Iterator[tuple[str, str, BrainImage]]:
    """Site, part and image, of all images that sites have."""
    for site, training in split.sites.items():
        parts = {"training": training, "validation": split.validation_of(site), "test": (split.own_test or {})[site]}
        yield from ((site, part, image) for part, cases in parts.items() for image in cases)


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("copied", [0, 25])
def test_every_image_is_in_one_part_of_one_site_and_no_group_on_two_sides(by: str, copied: int) -> None:
    images = images_of(copied=copied)
    split = drawn(images, by=by)
    placed = [*sides(split)]
    assert sorted(each.index for _, _, each in placed) == [*range(len(images))]
    assert {each for _, part, each in placed if part == "test"} == set(split.test)
    assert {each for _, part, each in placed if part == "validation"} == set(split.validation)
    parts_of = {(each.group, part) for _, part, each in placed}
    assert len(parts_of) == len({each.group for each in images})


def test_a_hospitals_images_stay_there_and_each_part_has_its_share_of_every_class() -> None:
    images = images_of(each=40, copied=20)
    split = drawn(images, test="0.25", validation_share=0.2)
    assert split.groups == {"site-1": "North", "site-2": "South", "site-3": "East"}
    counts = Counter((each.hospital, part, each.label) for _, part, each in sides(split))
    for site, _, each in sides(split):
        assert each.hospital == split.groups[site]
    for hospital in HOSPITALS:
        for label in CLASSES:
            assert abs(counts[hospital, "test", label] - 10) <= 1
            assert abs(counts[hospital, "validation", label] - 6) <= 1


def test_another_hospital_changes_nothing_for_the_others() -> None:
    split, more = drawn(images_of(HOSPITALS[:2])), drawn(images_of(HOSPITALS))
    assert [each for each in sides(more) if each[2].hospital != "East"] == [*sides(split)]


@pytest.mark.parametrize("by", WAYS)
def test_the_seed_and_the_set_decide_not_the_order(by: str) -> None:
    images = images_of(each=20, copied=5)
    shuffled = [images[i] for i in np.random.default_rng(0).permutation(len(images))]
    one = {each.file: (site, part) for site, part, each in sides(split_of(images, by, 3))}
    assert {each.file: (site, part) for site, part, each in sides(split_of(shuffled, by, 3))} == one
    assert {each.file: (site, part) for site, part, each in sides(split_of(images, by, 4))} != one


def split_of(images: list[BrainImage], by: str, seed: int) -> Split[BrainImage]:
    options = BrainMriSplitOptions(by=by, seed=seed).completed(merged=False)  # type: ignore[arg-type]
    return split_brain_mri(images, options, HOSPITALS)


def test_a_hospital_of_three_images_has_one_in_each_part_and_of_two_is_refused() -> None:
    few = [image(9000 + place, "West", label) for place, label in enumerate(CLASSES[:3])]
    split = drawn(images_of() + few)
    assert Counter(part for site, part, _ in sides(split) if site == "site-4") == dict.fromkeys(
        ("training", "validation", "test"), 1
    )
    with pytest.raises(InputError, match="West has 2 images to split and gets none for test"):
        drawn(images_of() + few[:2])


def test_a_hospital_of_which_no_image_is_left_is_refused() -> None:
    options = BrainMriSplitOptions().completed(merged=False)
    with pytest.raises(InputError, match="West has 0 images"):
        split_brain_mri(images_of(), options, (*HOSPITALS, "West"))


def merged_images() -> list[BrainImage]:
    found = [image(index, "", CLASSES[index % 4]) for index in range(240)]
    copies = [image(240 + index, "", CLASSES[index % 4], index if index < 20 else -1, True) for index in range(60)]
    return found + copies


def test_the_published_test_is_what_it_is_and_dealt_out_evenly() -> None:
    images = merged_images()
    split = drawn(images, merged=True)
    assert {each.index for each in split.test} == {*range(240, 300)}
    assert [len(cases) for cases in (split.own_test or {}).values()] == [20, 20, 20]
    assert [len(split.sites[site]) + len(split.validation_of(site)) for site in split.sites] == [80, 80, 80]
    for cases in (split.own_test or {}).values():
        assert Counter(each.label for each in cases) == dict.fromkeys(CLASSES, 5)


def test_a_share_of_the_merged_set_is_drawn_from_all_of_it() -> None:
    split = drawn(merged_images(), merged=True, test="0.3")
    assert 75 <= len(split.test) <= 105
    assert {each.official_test for each in split.test} == {True, False}
    parts = {(each.group, part) for _, part, each in sides(split)}
    assert len(parts) == len({each.group for each in merged_images()})


def test_sizes_follow_the_power_law_and_dirichlet_differs_by_class() -> None:
    split = drawn(images_of(), by="quantity", sites=4, power=1.5)
    sizes = [len(cases) for cases in split.sites.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 3 * sizes[-1]
    skewed = drawn(images_of(), by="dirichlet", alpha=0.1)
    shares = [Counter(each.label for each in cases) for cases in skewed.sites.values()]
    assert max(share[label] / sum(share.values()) for share in shares for label in CLASSES) > 0.5


@pytest.mark.parametrize(
    ("merged", "options", "words"),
    [
        (True, {"by": "hospital"}, "the merged set names no hospitals"),
        (False, {"test": "official"}, "only the merged set"),
        (False, {"test": "some"}, "--test is some; expected official, or a share"),
        (False, {"test": "1"}, "--test is 1.0"),
        (False, {"test": "0"}, "--test is 0.0"),
        (False, {"test": "nan"}, "--test is nan"),
        (False, {"sites": 3}, "makes no use of it"),
        (True, {"alpha": 0.5}, "makes no use of it"),
        (True, {"sites": 0}, "--sites is 0"),
        (False, {"validation_share": 1.0}, "--validation_share is 1.0"),
        (False, {"seed": -1}, "--seed is -1"),
    ],
)
def test_options_that_make_no_sense_are_refused(merged: bool, options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as caught:
        BrainMriSplitOptions(**options).completed(merged)  # type: ignore[arg-type]
    assert words in str(caught.value)


def test_too_few_groups_in_the_test_are_refused() -> None:
    few = [image(index, "", CLASSES[index % 4]) for index in range(40)] + [image(99, "", "glioma", -1, True)]
    with pytest.raises(InputError, match="The test has 1 groups of images for 3 sites"):
        drawn(few, merged=True)
