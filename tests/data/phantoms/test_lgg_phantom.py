"""Synthetic patients of five institutions: tumours bright in FLAIR, the layout of the set, lists by institution."""

from pathlib import Path

import numpy as np
import pytest

from fedmed.core.errors import InputError
from fedmed.data.datalist import load_datalist
from fedmed.data.lgg.lgg_audit import table_patients
from fedmed.data.lgg.lgg_layout import find_lgg
from fedmed.data.lgg.scan_facts import measured_scans
from fedmed.data.phantoms.lgg_phantom import PATIENTS, demo_lgg, lgg_phantom
from fedmed.data.phantoms.phantom import is_phantom
from fedmed.data.phantoms.site_profile import COMMON


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lgg") / "set"
    demo_lgg(folder)
    return folder


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_tumour_is_bright_in_flair_alone_and_slices_are_in_order(seed: int) -> None:
    picture, mask = lgg_phantom(np.random.default_rng(seed), COMMON, slices=8)
    assert (picture.shape, picture.dtype, mask.shape) == ((8, 64, 64, 3), np.uint8, (8, 64, 64))
    assert {*np.unique(mask).tolist()} == {0, 255}
    brain = (picture[..., 1] > 0) & (mask == 0)
    ratios = [picture[..., c][mask > 0].mean() / picture[..., c][brain].mean() for c in range(3)]
    assert ratios[1] > 1.3
    assert max(ratios[0], ratios[2]) < 1.1
    rows = np.nonzero(mask.any(axis=(1, 2)))[0]
    assert np.array_equal(rows, np.arange(rows[0], rows[-1] + 1))


def test_equal_seeds_give_equal_patients() -> None:
    one, again, other = (lgg_phantom(np.random.default_rng(seed), COMMON, 6)[0] for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_the_set_is_in_the_layout_of_the_real_one(demo: Path) -> None:
    assert is_phantom(demo)
    tree = find_lgg(demo)
    assert {code: len(patients) for code, patients in tree.institutions.items()} == dict(PATIENTS)
    assert table_patients(demo) == tuple(patient.patient for patient in tree.patients)
    facts = measured_scans(tree.patients)
    assert all(6 <= each.slices <= 10 and each.tumour_slices >= 2 for each in facts.values())
    assert 0 < sum(each.copied == ("post-contrast",) for each in facts.values()) < 6


def test_its_lists_are_by_institution_and_the_single_patient_is_tested_by_all(demo: Path) -> None:
    lists = [load_datalist(demo / "datalist" / f"site-{number}.json", demo) for number in (1, 2, 3, 4)]
    assert [each.hospital["code"] for each in lists] == ["CS", "DU", "FG", "HT"]
    everybody: list[str] = []
    for each in lists:
        parts = [{str(case.extra["patient"]) for case in part} for part in each.splits.values()]
        assert all(parts)
        assert sum(map(len, parts)) == len(set.union(*parts))
        everybody += set.union(*parts)
        assert any(case.extra["institution"] == "EZ" for case in each.testing)
        assert all(case.extra["institution"] == each.hospital["code"] for case in each.training)
    assert len({*everybody}) == sum(PATIENTS.values())


def test_it_is_made_once_and_other_files_are_not_overwritten(demo: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in demo.rglob("*")}
    demo_lgg(demo)
    assert {path: path.stat().st_mtime_ns for path in demo.rglob("*")} == before
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="is not an empty folder"):
        demo_lgg(tmp_path)
