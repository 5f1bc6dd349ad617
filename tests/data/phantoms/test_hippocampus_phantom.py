"""Synthetic hippocampi: two touching parts, intensities of several sources, lists of sites, nothing overwritten."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from fedmed.core.errors import InputError
from fedmed.data.datalist import load_datalist
from fedmed.data.hippocampus.hippocampus_layout import find_hippocampus_cases, measures_of
from fedmed.data.phantoms.hippocampus_phantom import PROFILES, demo_hippocampi, hippocampus_phantom
from fedmed.data.phantoms.phantom import is_phantom


@pytest.mark.parametrize("seed", range(6))
def test_two_parts_touch_and_the_anterior_one_lies_in_front(seed: int) -> None:
    image, label = hippocampus_phantom(np.random.default_rng(seed))
    assert image.shape == label.shape
    assert set(np.unique(label)) == {0, 1, 2}
    assert ndimage.label(label > 0)[1] == 1
    front, back = ((label == part).nonzero()[1] for part in (1, 2))
    assert front.min() > back.max()
    assert front.min() - back.max() == 1
    assert min(len(front), len(back)) > 300
    inside, outside = image[label > 0].astype(float), image[label == 0].astype(float)
    assert inside.mean() > outside.mean() + outside.std()


def test_profiles_give_every_kind_of_intensities() -> None:
    images = [hippocampus_phantom(np.random.default_rng(0), profile=profile)[0] for profile in PROFILES]
    assert images[0].dtype == np.uint8
    assert images[1].max() < 5000
    assert images[3].max() > 1e5
    again = hippocampus_phantom(np.random.default_rng(0), profile=PROFILES[1])[0]
    assert np.array_equal(images[1], again)


def test_the_demonstration_is_a_dataset_of_sites_that_differ(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    demo_hippocampi(folder, cases=2, validation=4)
    assert is_phantom(folder)
    lists = [load_datalist(folder / "datalist" / f"site-{i}.json", folder) for i in (1, 2, 3, 4)]
    assert [len(each.training) for each in lists] == [2, 2, 2, 2]
    assert len({case.name for each in lists for case in each.training}) == 8
    assert all(each.validation == lists[0].validation for each in lists)
    sources = {case.name: measures_of(case).source for case in find_hippocampus_cases(folder)}
    assert [{sources[case.name] for case in each.training} for each in lists] == [
        {"8-bit"}, {"thousands"}, {"thousands"}, {"millions"},
    ]  # fmt: skip
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    demo_hippocampi(folder)  # it is there
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_other_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="is not an empty folder"):
        demo_hippocampi(tmp_path)
