"""The perceptual hash: the same picture is near itself in any form, others are far, and groups are exact."""

import io
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from fedmed.data.audit import perceptual_hash as hashing
from fedmed.data.audit.perceptual_hash import NEAR, first_of_group, near_pairs, perceptual_hash
from fedmed.data.picture_file import shown_pixels
from fedmed.data.picture_pixels import as_pixels
from tests.data.brain_mri.written_heads import picture


def hash_of(image: PillowImage.Image) -> int:
    found = perceptual_hash(as_pixels(shown_pixels(Path("a.png"), image), 1)[0])
    assert found is not None
    return found


def bits_apart(one: PillowImage.Image, other: PillowImage.Image) -> int:
    return (hash_of(one) ^ hash_of(other)).bit_count()


def as_jpeg(image: PillowImage.Image, quality: int) -> PillowImage.Image:
    content = io.BytesIO()
    image.save(content, "jpeg", quality=quality)
    return PillowImage.open(content)


@pytest.mark.parametrize("number", range(8))
def test_resized_recompressed_and_recoloured_pictures_are_near(number: int) -> None:
    original = picture(number, 256)
    for changed in (
        original.resize((112, 112)),
        original.resize((512, 512), PillowImage.Resampling.NEAREST),
        as_jpeg(original, 30),
        original.convert("RGB"),
        original.convert("P"),
        original.convert("RGBA"),
        original.point(lambda value: 20 + value * 0.7),
        as_jpeg(original.convert("RGB").resize((224, 224)), 60),
    ):
        assert bits_apart(original, changed) <= NEAR


def test_other_pictures_are_far() -> None:
    apart = [bits_apart(picture(one), picture(other)) for one, other in combinations(range(40), 2)]
    assert min(apart) > NEAR
    assert 28 < np.mean(apart) < 36  # as of 63 independent bits


def test_a_hash_has_63_bits_of_which_31_are_set() -> None:
    for number in range(10):
        found = hash_of(picture(number))
        assert found < 2**63
        assert found.bit_count() == 31


def test_a_picture_of_one_value_has_no_hash_and_is_near_none() -> None:
    for value in (0.0, 0.5, 1.0):
        assert perceptual_hash(np.full((64, 48), value, np.float32)) is None
    assert near_pairs([None, 5, None, 5]).tolist() == [[1, 3]]


@pytest.mark.parametrize("rows", [1, 3, 512])
def test_near_pairs_are_those_of_all_pairs(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "ROWS", rows)
    rng = np.random.default_rng(0)
    hashes = [int(each) for each in rng.integers(0, 32, 30)]  # of few bits, so that many are near
    expected = [[i, j] for i, j in combinations(range(30), 2) if (hashes[i] ^ hashes[j]).bit_count() <= 1]
    assert sorted(near_pairs(hashes, 1).tolist()) == expected


def test_groups_join_over_others() -> None:
    pairs = np.array([[4, 5], [1, 4], [2, 3]])
    assert first_of_group(7, pairs) == [0, 1, 2, 2, 1, 1, 6]
    assert first_of_group(3, np.empty((0, 2), dtype=np.int64)) == [0, 1, 2]
    assert near_pairs([]).shape == (0, 2)
