"""Synthetic brain MR pictures: tumours where they belong, hospitals of different forms, lists without common heads."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from fedmed.core.errors import InputError
from fedmed.data.brain_mri.classes import CLASSES
from fedmed.data.datalist import load_datalist
from fedmed.data.phantoms.anatomy import Tissues, random_anatomy
from fedmed.data.phantoms.brain_mri_phantom import HEAD, HOSPITALS, brain_mri_phantom, demo_brain_mri
from fedmed.data.phantoms.phantom import is_phantom
from fedmed.data.phantoms.site_profile import COMMON


@pytest.fixture(scope="module")
def head() -> Tissues:
    return random_anatomy(np.random.default_rng(0), HEAD)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("brain") / "set"
    demo_brain_mri(folder, cases=2, validation=1, test=1)
    return folder


def shining(picture: np.ndarray) -> np.ndarray:
    """The middle (row, column) of the largest spot that is far brighter than the brain; NaN where there is none.

    In shares of the head's extent.
    """
    rows, columns = np.nonzero(picture > 60)
    inner = picture[rows.min() : rows.max(), columns.min() : columns.max()].astype(float)
    inner = ndimage.uniform_filter(np.where(_inside(inner), inner, 0), 3)
    spots, number = ndimage.label(inner > 1.3 * np.percentile(inner[inner > 60], 90))
    sizes = ndimage.sum_labels(np.ones_like(inner), spots, range(1, number + 1))
    if not number or max(sizes) < 20:
        return np.array([np.nan, np.nan])
    return np.argwhere(spots == np.argmax(sizes) + 1).mean(axis=0) / inner.shape


def _inside(head: np.ndarray) -> np.ndarray:
    """The pixels that lie deeper than the scalp."""
    return ndimage.binary_erosion(ndimage.binary_fill_holes(head > 60), iterations=7)


def test_a_tumour_shines_where_its_kind_grows_and_nothing_does_without_one(head: Tissues) -> None:
    def found(kind: str) -> np.ndarray:
        pictures = (brain_mri_phantom(np.random.default_rng(seed), head, kind, COMMON) for seed in range(8))
        return np.array([shining(picture) for picture in pictures])

    assert np.isnan(found("no_tumor")).all()
    pituitary, glioma, meningioma = found("pituitary"), found("glioma"), found("meningioma")
    assert np.allclose(pituitary[:, 1], 0.5, atol=0.08)
    assert np.allclose(pituitary[:, 0], 0.4, atol=0.12)
    assert (~np.isnan(glioma[:, 0])).sum() >= 7
    assert (~np.isnan(meningioma[:, 0])).sum() >= 7
    away = [float(np.nanmean(np.hypot(*(places - 0.5).T))) for places in (glioma, meningioma)]
    assert away[0] < away[1]


def test_equal_seeds_give_equal_pictures(head: Tissues) -> None:
    one, again, other = (brain_mri_phantom(np.random.default_rng(seed), head, "glioma", COMMON) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert one.dtype == np.uint8


def test_every_hospital_has_its_own_folders_and_form(demo: Path) -> None:
    assert is_phantom(demo)
    entries = json.loads((demo / "hospitals.json").read_text())
    assert [entry["name"] for entry in entries] == [hospital.name for hospital in HOSPITALS]
    assert all(entry["fictional"] for entry in entries)
    modes = []
    for entry in entries:
        assert set(entry["class_map"].values()) == set(CLASSES)
        files = [file for name in entry["class_map"] for file in (demo / entry["folder"] / name).iterdir()]
        assert len(files) == 4 * len(CLASSES)
        with Image.open(files[0]) as picture:
            modes.append((picture.mode, max(picture.size), files[0].suffix))
    assert len(set(modes)) == 3


def test_a_head_is_in_one_part_of_one_site_alone(demo: Path) -> None:
    lists = [load_datalist(demo / "datalist" / f"site-{number}.json", demo) for number in (1, 2, 3)]
    heads = [
        {str(case.extra["patient"]) for case in part}
        for each in lists
        for part in (each.training, each.validation)
    ]  # fmt: skip
    assert [len(each) for each in heads] == [2, 1] * 3
    assert len(set().union(*heads)) == 9
    assert all(len(each.training) == 2 * len(CLASSES) for each in lists)
    before = {path: path.stat().st_mtime_ns for path in demo.rglob("*")}
    demo_brain_mri(demo)  # it is there
    assert {path: path.stat().st_mtime_ns for path in demo.rglob("*")} == before


def test_other_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="is not an empty folder"):
        demo_brain_mri(tmp_path)
