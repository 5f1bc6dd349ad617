"""What is measured in a case's files, against numpy and by hand; and each case is measured once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from fedmed.core.errors import InputError
from fedmed.data.audit.case_facts import (
    MOST_LABEL_VALUES,
    CaseFacts,
    FactsBook,
    ImageFacts,
    case_facts,
    image_facts,
    label_facts,
)
from fedmed.data.image_file import ImageFile

SHAPE = (10, 9, 8)


class Shelf:
    """A store in memory, which is falsy while it is empty."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.writes = 0

    def __len__(self) -> int:
        return len(self.kept)

    def read(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def write(self, name: str, content: bytes) -> bool:
        self.kept[name] = content
        self.writes += 1
        return True


class FullShelf(Shelf):
    def write(self, name: str, content: bytes) -> bool:
        return False


def scan(seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(500, 120, SHAPE).astype(np.float32)
    values[:4] = 0
    return values


def measured(values: np.ndarray) -> ImageFacts:
    return image_facts(ImageFile(values, values.ndim, np.eye(4), (1.0, 1.0, 1.0)))


def save(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[dict[str, Path], Path]:
    """Two images and a label of one case."""
    images = {name: save(tmp_path / f"{name} ä.nii.gz", scan(seed)) for seed, name in enumerate(("t1", "t2"))}
    label = np.zeros(SHAPE, np.uint8)
    label[5:7] = 4
    return images, save(tmp_path / "seg.nii.gz", label)


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_of_the_voxels_other_than_0_are_numpys(seed: int) -> None:
    values = scan(seed)
    found, tissue = measured(values).intensities, np.sort(values[values != 0].astype(float))
    assert found is not None
    assert (found.minimum, found.maximum) == (tissue[0], tissue[-1])
    assert (found.mean, found.std) == pytest.approx((tissue.mean(), tissue.std()))
    assert found.different == len(np.unique(tissue))
    for value, share in ((found.p1, 0.01), (found.median, 0.5), (found.p99, 0.99)):
        assert abs(np.searchsorted(tissue, value) - share * (len(tissue) - 1)) <= 1


def test_the_median_counts_how_often_a_value_occurs() -> None:
    found = measured(np.array([[[0, 0, 0, 1, 7, 7, 7, 9]]], np.int16)).intensities
    assert found is not None
    assert (found.minimum, found.median, found.maximum, found.different) == (1, 7, 9, 3)


def test_fractions_are_judged_as_float32() -> None:
    found = measured(np.array([[[0, 1e300, -1e39, 3e38, 2.0]]], np.float64))
    assert (found.not_finite, found.zeros, found.dtype) == (2, 1, "float64")
    assert measured(np.array([[[2**31 - 1]]], np.int32)).intensities.maximum == 2**31 - 1  # type: ignore[union-attr]


def test_voxels_that_are_0_or_not_finite_are_counted_and_left_out() -> None:
    found = measured(np.array([[[0, 0, np.nan, np.inf, -np.inf, 2, 4]]]))
    assert (found.zeros, found.not_finite, found.voxels) == (2, 3, 7)
    assert found.intensities is not None
    assert (found.intensities.minimum, found.intensities.maximum, found.intensities.mean) == (2, 4, 3)


@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_an_image_without_a_value_has_no_figures(value: float) -> None:
    found = measured(np.full(SHAPE, value))
    assert found.intensities is None
    assert found.zeros + found.not_finite == found.voxels == np.prod(SHAPE)


def test_the_grid_is_that_of_the_header(tmp_path: Path) -> None:
    affine = np.diag([-1.5, -2.0, 4.0, 1.0])
    found = case_facts({"t1": save(tmp_path / "a.nii", scan(), affine)}, None).images["t1"]
    assert (found.shape, found.dimensions, found.dtype, found.orientation) == (SHAPE, 3, "float32", "LPS")
    assert found.spacing == pytest.approx((1.5, 2, 4))
    assert found.voxel_ml == pytest.approx(0.012)
    assert np.allclose(found.affine, affine)


def test_a_picture_has_no_place_in_space(tmp_path: Path) -> None:
    Image.fromarray(np.full((6, 5, 3), 9, np.uint8)).save(tmp_path / "a.png")
    found = case_facts({"photo": tmp_path / "a.png"}, None).images["photo"]
    assert (found.shape, found.dimensions, found.affine, found.spacing) == ((6, 5, 3), 2, (), ())
    assert found.voxel_ml is None


def test_label_values_are_counted_as_people_write_them() -> None:
    label = np.array([0, 0, 0, 1, 2, 2, 4, 4.5])
    assert label_facts(label, None).counts == {"0": 3, "1": 1, "2": 2, "4": 1, "4.5": 1}


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64, bool])
def test_the_stored_type_does_not_change_the_counts(dtype: type) -> None:
    assert label_facts(np.array([0, 1, 1], dtype), None).counts == {"0": 1, "1": 2}


def test_no_voxel_of_a_label_is_lost_among_values_that_are_nearly_alike() -> None:
    label = np.array([2, 2, 2.0000002], np.float32)
    assert sum(label_facts(label, None).counts.values()) == 3


def test_a_0_with_a_sign_is_a_0() -> None:
    assert label_facts(np.array([-0.0, -0.0, 1], np.float32), None).counts == {"0": 2, "1": 1}


def test_an_image_in_a_labels_place_does_not_fill_the_record() -> None:
    assert len(label_facts(np.arange(10_000), None).counts) == MOST_LABEL_VALUES


def test_the_label_outside_the_brain_is_counted(tmp_path: Path) -> None:
    one, other, label = (np.zeros(SHAPE, np.int16) for _ in range(3))
    one[4:6], other[6:8] = 5, 7
    label[3:7, 0, 0] = 1
    images = {"t1": save(tmp_path / "a.nii", one), "t2": save(tmp_path / "b.nii", other)}
    found = case_facts(images, save(tmp_path / "seg.nii", label)).label
    assert found is not None
    assert (found.outside, found.counts["1"]) == (1, 4)


def test_outside_is_unknown_where_shapes_differ(tmp_path: Path) -> None:
    small = save(tmp_path / "small.nii", np.ones((3, 3, 3), np.uint8))
    images = {"t1": save(tmp_path / "a.nii", scan())}
    for case in (case_facts(images, small), case_facts({**images, "t2": small}, images["t1"])):
        assert case.label is not None
        assert case.label.outside is None


def test_unlike_masks_is_the_largest_share_that_an_image_lacks(tmp_path: Path) -> None:
    whole = np.ones(SHAPE, np.int16)
    tenth, half = whole.copy(), whole.copy()
    tenth[:1], half[:5] = 0, 0
    paths = {name: save(tmp_path / f"{name}.nii", v) for name, v in (("a", whole), ("b", tenth), ("c", half))}
    assert case_facts(paths, None).unlike_masks == pytest.approx(0.5)
    assert case_facts({name: paths[name] for name in "ab"}, None).unlike_masks == pytest.approx(0.1)
    assert case_facts({"a": paths["a"]}, None).unlike_masks == 0


def test_unlike_masks_of_empty_images_is_0(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", np.zeros(SHAPE, np.int16))
    assert case_facts({"a": path, "b": path}, None).unlike_masks == 0


def test_facts_are_the_same_after_json(files: tuple[dict[str, Path], Path], tmp_path: Path) -> None:
    Image.fromarray(np.zeros((6, 5), np.uint8)).save(tmp_path / "a.png")
    for facts in (case_facts(*files), case_facts(files[0], None), case_facts({"x": tmp_path / "a.png"}, None)):
        assert CaseFacts.from_json(facts.to_json()) == facts


def test_a_broken_file_is_named(files: tuple[dict[str, Path], Path]) -> None:
    images, label = files
    label.write_bytes(label.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"seg\.nii\.gz.*copy it again"):
        FactsBook(Shelf()).of(images, label)


def test_a_book_measures_a_case_once(files: tuple[dict[str, Path], Path]) -> None:
    shelf = Shelf()
    book = FactsBook(shelf)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: book.of(*files), range(8)))
    assert shelf.writes == 1
    assert all(facts is found[0] for facts in found)
    assert found[0] == case_facts(*files)


def test_a_renamed_case_is_known_and_a_changed_one_is_not(files: tuple[dict[str, Path], Path], tmp_path: Path) -> None:
    images, label = files
    book = FactsBook()
    first = book.of(images, label)
    moved = {**images, "t1": images["t1"].rename(tmp_path / "other name.nii.gz")}
    assert book.of(moved, label) is first
    save(label, np.zeros(SHAPE, np.uint8))
    assert book.of(moved, label) == case_facts(moved, label) != first


def test_what_a_file_stands_for_belongs_to_the_case(files: tuple[dict[str, Path], Path]) -> None:
    images, label = files
    book = FactsBook()
    swapped = dict(zip(images, reversed(images.values()), strict=True))
    renamed = {f"{name}ce": path for name, path in images.items()}
    for case in ((images, label), (swapped, label), (renamed, label), ({**images, "t3": label}, None)):
        assert book.of(*case) == case_facts(*case)


def test_another_book_takes_what_the_store_has(files: tuple[dict[str, Path], Path]) -> None:
    shelf = Shelf()
    first = FactsBook(shelf).of(*files)
    assert FactsBook(shelf).of(*files) == first
    assert shelf.writes == 1


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b'{"images": {"t1": 3}, "label_file": null, "label": null, "unlike_masks": 0}',
        b'{"images": {"t1": {}}, "label_file": null, "label": null, "unlike_masks": 0}',
        b'{"images": [], "label_file": null, "label": null, "unlike_masks": 0}',
    ],
)
def test_damaged_facts_are_measured_anew_and_replaced(files: tuple[dict[str, Path], Path], damaged: bytes) -> None:
    shelf = Shelf()
    first = FactsBook(shelf).of(*files)
    ((name, sound),) = shelf.kept.items()
    shelf.kept[name] = damaged
    assert FactsBook(shelf).of(*files) == first
    assert shelf.kept == {name: sound}


def test_half_of_what_was_kept_is_damaged_too(files: tuple[dict[str, Path], Path]) -> None:
    shelf = Shelf()
    first = FactsBook(shelf).of(*files)
    shelf.kept = {name: content[: len(content) // 2] for name, content in shelf.kept.items()}
    assert FactsBook(shelf).of(*files) == first


def test_a_store_that_keeps_nothing_does_no_harm(files: tuple[dict[str, Path], Path]) -> None:
    assert FactsBook(FullShelf()).of(*files) == case_facts(*files)
