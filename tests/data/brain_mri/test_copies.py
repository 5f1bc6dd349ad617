"""Near copies: groups, groups of several classes, copies of test images, and one image of each group."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from fedmed.data.brain_mri.brain_image import BrainImage
from fedmed.data.brain_mri.copies import Copies, find_copies, one_of_each
from fedmed.data.brain_mri.picture_facts import PictureFacts, picture_facts

FACTS = PictureFacts(64, 64, "L", "PNG", "", None)


def copies_among(images: Sequence[tuple[str, str, int | None]], official: bool = False) -> Copies:
    """Copies among images of (hospital, class, hash); of the merged set the hospital "T" stands for the test."""
    made = [
        BrainImage(place, Path(f"/{place}"), f"{place}", label, "" if official else of, official and of == "T")
        for place, (of, label, _) in enumerate(images)
    ]
    known = {
        f"{place}": replace(FACTS, perceptual=None if found is None else f"{found:016x}")
        for place, (_, _, found) in enumerate(images)
    }
    return find_copies(made, known)


A, B, C = 0b0, 0b1111_1111, 0b1111_1111_0000_0000
"""Hashes that are far from each other."""


def test_groups_are_named_by_their_first_image_and_join_over_others() -> None:
    chain = [("x", "glioma", A), ("y", "glioma", A ^ 0b11), ("x", "glioma", B), ("y", "glioma", A ^ 0b1111)]
    found = copies_among([*chain, ("x", "glioma", None), ("y", "glioma", None)])
    assert [image.group for image in found.images] == [0, 0, 2, 0, 4, 5]
    assert [image.patient for image in found.images[:3]] == ["image-000000", "image-000000", "image-000002"]
    assert [(one.index, other.index) for one, other in found.pairs] == [(0, 1), (1, 3)]
    assert found.across == {("x", "y"): 1, ("y", "y"): 1}


def test_a_group_keeps_the_index_of_the_whole_set_where_images_are_left_out() -> None:
    every = copies_among([("x", "glioma", B), ("x", "glioma", A), ("x", "glioma", A)])
    facts = {image.file: replace(FACTS, perceptual="00") for image in every.images}
    assert [image.group for image in find_copies(every.images[1:], facts).images] == [1, 1]


def test_one_image_of_each_group_stays_that_of_the_first_hospital() -> None:
    found = copies_among([("x", "glioma", A), ("x", "glioma", A), ("y", "glioma", A), ("y", "glioma", B)])
    kept, left_out = one_of_each(found)
    assert [image.file for image in kept] == ["0", "3"]
    assert left_out == {"1": "copy of 0", "2": "copy of 0"}


def test_groups_of_several_classes_are_told_and_left_out_whole() -> None:
    found = copies_among([("x", "glioma", A), ("y", "meningioma", A), ("x", "glioma", B)])
    assert [[image.file for image in group] for group in found.mixed] == [["0", "1"]]
    kept, left_out = one_of_each(found)
    assert [image.file for image in kept] == ["2"]
    assert left_out == dict.fromkeys(("0", "1"), "its copies are of the classes glioma, meningioma")


def test_the_published_test_stays_whole_and_its_copies_leave_training() -> None:
    train = [("", "glioma", A), ("", "glioma", B), ("", "glioma", B), ("", "glioma", C)]
    test = [("T", "glioma", A), ("T", "glioma", A), ("T", "meningioma", C), ("T", "glioma", None)]
    found = copies_among([*train, *test], official=True)
    assert found.tested_twins == {"4": ["0"], "5": ["0"], "6": ["3"]}
    kept, left_out = one_of_each(found)
    assert [image.file for image in kept] == ["1", "4", "5", "6", "7"]
    assert left_out == {
        "0": "copy of 4", "2": "copy of 1", "3": "its copies are of the classes glioma, meningioma",
    }  # fmt: skip


def test_a_mirrored_copy_is_of_the_group_though_no_eye_hash_is_near(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    pictures = {"a.png": pixels, "b.png": np.roll(pixels, 1, axis=0) // 2, "c.png": pixels[:, ::-1]}
    facts = {}
    for name, each in pictures.items():
        Image.fromarray(np.ascontiguousarray(each)).save(tmp_path / name)
        facts[name] = picture_facts(tmp_path / name)
    images = [BrainImage(place, tmp_path / name, name, "glioma") for place, name in enumerate(pictures)]
    assert facts["a.png"].perceptual != facts["c.png"].perceptual
    assert [image.group for image in find_copies(images, facts).images] == [0, 1, 0]
