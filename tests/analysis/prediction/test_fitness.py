"""What a network cannot use is refused in one sentence, each on its two sides."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fedmed.analysis.prediction.fitness import MOST_APART, apart, check_fitness
from fedmed.analysis.prediction.patient_files import files_by_name
from fedmed.core.errors import InputError
from fedmed.data.brats.brats_rules import brats_rules

Change = Callable[[np.ndarray], np.ndarray]
RULES = brats_rules(None)


def change(folder: Path, modality: str, how: Change, affine: np.ndarray | None = None) -> Path:
    path = folder / f"p_{modality}.nii.gz"
    image = nib.load(path)
    nib.save(nib.Nifti1Image(how(np.asarray(image.dataobj)), image.affine if affine is None else affine), path)
    return folder


def check(folder: Path, accept_skull: bool = False) -> tuple[str, ...]:
    return check_fitness(files_by_name([folder]), RULES, accept_skull)


@pytest.fixture
def folder(patient: Callable[..., tuple[Path, np.ndarray]]) -> Path:
    return patient()[0]


def test_sound_images_pass(folder: Path) -> None:
    assert check(folder) == ()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (lambda v: np.stack([v, v], -1), "4 dimensions"),
        (lambda v: np.where(v > 600, np.nan, v), "NaN or infinite"),
        (lambda v: np.full_like(v, 7), "7 everywhere"),
        (lambda v: np.where(v > 0, 300, 0).astype(np.int16), "nearly constant"),
        (lambda v: v[1:], r"\(39, 36, 34\) voxels"),
        (lambda v: np.roll(v, 12, axis=1), "not to be co-registered: in [0-9]+% of the brain"),
    ],
)
def test_an_image_that_cannot_be_used_is_refused_by_its_name(folder: Path, how: Change, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        check(change(folder, "t2", how))
    assert "t2" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_flipped_header_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"p_flair.nii.gz lies otherwise in space.*orientation"):
        check(change(folder, "flair", lambda v: v, np.eye(4)))


def test_one_image_in_two_places_is_refused(folder: Path) -> None:
    t1 = np.asarray(nib.load(folder / "p_t1.nii.gz").dataobj)
    with pytest.raises(InputError, match="t1 and t2 are the same image"):
        check(change(folder, "t2", lambda v: t1))


def test_a_skull_is_refused_unless_it_is_accepted(folder: Path) -> None:
    for modality in ("t1ce", "t2"):
        change(folder, modality, lambda v: v + 9)
    with pytest.raises(InputError, match=r"seems not to be skull-stripped.*--accept_skull.*\(and 1 error more\)"):
        check(folder)
    assert any("skull-stripped" in sentence for sentence in check(folder, accept_skull=True))


def test_a_damaged_file_is_refused_though_it_is_the_last(folder: Path) -> None:
    path = folder / "p_flair.nii.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="truncated"):
        check(folder)


def test_a_scan_of_a_part_of_the_head_is_a_warning(folder: Path) -> None:
    def lower_half(voxels: np.ndarray) -> np.ndarray:
        return np.where(np.arange(34) < 20, voxels, 0).astype(np.int16)

    (sentence,) = check(change(folder, "flair", lower_half))
    assert "one modality is 0" in sentence


def test_masks_are_as_far_apart_as_their_shift() -> None:
    """Of a cube with an edge of 20, moved by 2: each has 2 of 22 layers alone."""
    cube = np.zeros((40, 30, 30), bool)
    cube[5:25, 5:25, 5:25] = True
    assert apart(cube, cube) == 0
    assert apart(cube, np.roll(cube, 2, axis=0)) == pytest.approx(2 / 22)
    assert apart(cube, np.roll(cube, 3, axis=0)) > MOST_APART
    assert apart(cube, cube & (np.arange(30) < 9)) == 0
    assert apart(~cube & cube, ~cube & cube) == 0
