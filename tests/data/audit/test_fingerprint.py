"""An image is known again by its voxels' values, however it is stored; and not without the sites' key."""

import gzip
import hashlib
import hmac
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fedmed.core.errors import InputError
from fedmed.data.audit.case_facts import image_facts
from fedmed.data.audit.fingerprint import FEWEST_VALUES, SHORTEST_KEY, keyed
from fedmed.data.image_file import read_image

KEY = "correct horse battery staple"
LPS = np.diag([-1.0, -1.0, 2.0, 1.0])


def scan() -> np.ndarray:
    values = np.random.default_rng(0).integers(1, 3000, (9, 8, 7)).astype(np.int16)
    values[:2] = 0
    return values


def saved(path: Path, values: np.ndarray, affine: np.ndarray = LPS) -> Path:
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def of(path: Path) -> str | None:
    return image_facts(read_image(path)).fingerprint


@pytest.fixture
def known(tmp_path: Path) -> str:
    found = of(saved(tmp_path / "known.nii.gz", scan()))
    assert found is not None
    assert len(bytes.fromhex(found)) == 32
    return found


def test_compression_and_name_do_not_matter(tmp_path: Path, known: str) -> None:
    plain = saved(tmp_path / "plain.nii", scan()).read_bytes()
    for level in (1, 9):
        path = tmp_path / f"Zoë {level}.nii.gz"
        path.write_bytes(gzip.compress(plain, level))
        assert of(path) == known
    assert of(tmp_path / "plain.nii") == known


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64])
def test_the_stored_type_does_not_matter(tmp_path: Path, known: str, dtype: type) -> None:
    assert of(saved(tmp_path / "a.nii.gz", scan().astype(dtype))) == known


def test_an_image_that_nibabel_reoriented_is_the_same(tmp_path: Path, known: str) -> None:
    image = nib.Nifti1Image(scan(), LPS)
    permuted = image.as_reoriented(np.array([[2, -1], [0, 1], [1, -1]]))
    for turned in (nib.as_closest_canonical(image), permuted):
        assert not np.array_equal(turned.affine, LPS)
        nib.save(turned, tmp_path / "a.nii.gz")
        assert of(tmp_path / "a.nii.gz") == known


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_image_that_was_flipped_without_its_header_is_the_same(tmp_path: Path, known: str, axis: int) -> None:
    assert of(saved(tmp_path / "a.nii.gz", np.flip(scan(), axis))) == known


def test_a_margin_of_zeros_does_not_matter(tmp_path: Path, known: str) -> None:
    padded = np.pad(scan(), ((1, 2), (0, 3), (4, 0)))
    assert of(saved(tmp_path / "a.nii.gz", padded)) == known
    assert of(saved(tmp_path / "b.nii.gz", scan()[2:])) == known


def test_one_changed_voxel_makes_another_image(tmp_path: Path, known: str) -> None:
    values = scan()
    values[5, 5, 5] += 1
    assert of(saved(tmp_path / "a.nii.gz", values)) not in (known, None)


def test_one_more_of_a_value_makes_another_image(tmp_path: Path, known: str) -> None:
    values = scan()
    values[0, 0, 0] = values[5, 5, 5]
    assert of(saved(tmp_path / "a.nii.gz", values)) not in (known, None)


@pytest.mark.parametrize("values", [0, 7, np.arange(504).reshape(9, 8, 7) % 4], ids=["zero", "constant", "mask"])
def test_what_may_equal_a_strangers_image_has_no_fingerprint(tmp_path: Path, values: np.ndarray | int) -> None:
    assert of(saved(tmp_path / "a.nii.gz", np.zeros((9, 8, 7), np.int16) + np.int16(values))) is None


@pytest.mark.parametrize(("different", "has"), [(FEWEST_VALUES - 1, False), (FEWEST_VALUES, True)])
def test_the_fewest_values_count_without_zero(tmp_path: Path, different: int, has: bool) -> None:
    values = (np.arange(504) % (different + 1)).reshape(9, 8, 7).astype(np.int16)
    assert (of(saved(tmp_path / "a.nii.gz", values)) is not None) == has


def test_hashes_are_alike_under_one_key_only(known: str) -> None:
    assert keyed(known, KEY) == keyed(known, KEY)
    assert len({known, keyed(known, KEY), keyed(known, KEY + "x"), keyed(known[::-1], KEY)}) == 4


def test_the_hash_is_the_standards() -> None:
    assert keyed("ab", "ü" * 16) == hmac.new(("ü" * 16).encode(), b"ab", hashlib.sha256).hexdigest()


def test_a_key_that_could_be_guessed_is_refused_without_showing_it() -> None:
    keyed("ab", "k" * SHORTEST_KEY)
    short = "topsecret"
    with pytest.raises(InputError, match=r"DUPLICATES_KEY has 9 characters.*secrets\.token_hex") as caught:
        keyed("ab", short)
    assert short not in str(caught.value)
