"""The phantom: cases in the form of BraTS, sites that picture them, and arrays that the seed decides."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from fedmed.core.errors import InputError
from fedmed.data.brats.brats_layout import LABEL_SCHEMES, find_cases, institution_of, label_scheme, patient_id
from fedmed.data.datalist import Datalist, load_datalist
from fedmed.data.phantoms.phantom import make_phantom, phantom_case

SIZE = (48, 44, 40)
SMALL = (32, 32, 32)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sites with 5 training cases each and 2 validation cases; the lists lie inside."""
    out = tmp_path_factory.mktemp("phantom") / "set"
    make_phantom(out, out / "datalist", sites=2, cases=5, validation=2, size=SMALL)
    return out


def case_of(seed: int, enhancing: bool = True) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    return phantom_case(np.random.default_rng(seed), np.random.default_rng(seed + 1), SIZE, enhancing)


def lists_of(out: Path, sites: int = 2) -> dict[str, Datalist]:
    names = [*(f"site-{i + 1}" for i in range(sites)), "site-All"]
    return {name: load_datalist(out / "datalist" / f"{name}.json", out) for name in names}


def load(path: Path) -> nib.Nifti1Image:
    image = nib.load(path)
    assert isinstance(image, nib.Nifti1Image)
    return image


def values(path: Path) -> NDArray[np.generic]:
    return np.asarray(load(path).dataobj)


def contents(folder: Path) -> dict[str, NDArray[np.generic]]:
    return {str(p.relative_to(folder)): values(p) for p in sorted((folder / "training").rglob("*.gz"))}


@pytest.mark.parametrize("seed", range(4))
def test_case(seed: int) -> None:
    images, label = case_of(seed)
    assert images.shape == (4, *SIZE)
    assert label.shape == SIZE
    brain = (images > 0).all(axis=0)
    assert (images[:, ~brain] == 0).all()
    assert 0.15 < brain.mean() < 0.5
    assert not binary_dilation(label > 0)[~brain].any()
    assert set(np.unique(label)) == {0, 1, 2, 4}
    assert np.array_equal(images, images.astype(np.int16))


def test_without_enhancing_part() -> None:
    _, label = case_of(1, enhancing=False)
    assert set(np.unique(label)) == {0, 1, 2}


def test_label_of_the_other_scheme() -> None:
    _, old = case_of(2)
    _, new = phantom_case(*(np.random.default_rng(2) for _ in range(2)), SIZE, scheme=LABEL_SCHEMES["brats2023"])
    assert np.array_equal(np.where(old == 4, 3, old), new)


def test_files_are_in_the_form_of_brats(made: Path) -> None:
    folder = made / "training" / "HGG" / "Brats18_PHANTOM1_001_1"
    assert sorted(p.name for p in folder.iterdir()) == [
        f"Brats18_PHANTOM1_001_1_{part}.nii.gz" for part in ("flair", "seg", "t1", "t1ce", "t2")
    ]
    for path in folder.iterdir():
        image = load(path)
        assert image.get_data_dtype() == (np.uint8 if "_seg" in path.name else np.int16)
        assert image.shape == SMALL
        assert nib.aff2axcodes(image.affine) == ("L", "P", "S")
        assert tuple(image.header.get_zooms()) == (1.0, 1.0, 1.0)


def test_lists_share_the_validation_cases_only(made: Path) -> None:
    lists = lists_of(made)
    assert [len(lists[site].training) for site in ("site-1", "site-2", "site-All")] == [5, 5, 10]
    assert len({case.target for case in lists["site-All"].all_cases}) == 12
    one, two, everyone = ({case.target for case in lists[site].training} for site in lists)
    assert one | two == everyone
    assert not one & two
    for site in lists.values():
        assert site.validation == lists["site-All"].validation
        assert len(site.validation) == 2
        assert site.label_scheme == "brats2018"
        assert all(path.is_file() for case in site.all_cases for path in (*case.images, case.target))


def test_some_training_cases_have_no_enhancing_part(made: Path) -> None:
    for case in lists_of(made)["site-All"].all_cases:
        has_rim = bool((values(case.target) == 4).any())
        assert has_rim == (case.extra["grade"] == "HGG")
    grades = [case.grade for case in find_cases(made)]
    assert (grades.count("HGG"), grades.count("LGG")) == (11, 1)


def test_marker_states_how_it_was_made(made: Path) -> None:
    stated = json.loads((made / "PHANTOM.json").read_text())
    profiles = stated.pop("profiles")
    assert stated == {
        "what": "synthetic phantom, no patient data",
        "sites": 2,
        "cases": 5,
        "validation": 2,
        "size": [32, 32, 32],
        "seed": 0,
        "layout": "brats2018",
        "site_strength": 0.0,
        "validation_lists": "shared",
    }
    assert list(profiles) == ["site-1", "site-2"]
    assert profiles["site-1"] == profiles["site-2"]
    assert [p.name for p in made.parent.iterdir()] == [made.name]


def test_names_say_which_site_pictured_a_case(made: Path) -> None:
    """Shared validation cases too, in turn; institution and patient are found in the name."""
    for site, listed in lists_of(made).items():
        if site != "site-All":
            names = {case.target.parent.name for case in listed.training}
            assert {institution_of(name) for name in names} == {f"PHANTOM{site[-1]}"}
            assert len({patient_id(name) for name in names}) == len(names) == 5
    validating = [case.target.parent.name for case in lists_of(made)["site-All"].validation]
    assert sorted(validating) == ["Brats18_PHANTOM1_001_1", "Brats18_PHANTOM2_002_1"]


def test_names_of_many_sites_keep_their_order(tmp_path: Path) -> None:
    make_phantom(tmp_path / "set", tmp_path / "set" / "lists", sites=10, cases=1, validation=1, size=SMALL)
    names = [case.name for case in find_cases(tmp_path / "set") if "_001_" not in case.name]
    assert [institution_of(name) for name in names] == [f"PHANTOM{i:02d}" for i in range(1, 11)]


def test_strength_changes_the_pictures_but_no_label(made: Path, tmp_path: Path) -> None:
    make_phantom(tmp_path / "set", tmp_path / "set" / "datalist", 2, 5, 2, size=SMALL, site_strength=1.0)
    plain, strong = contents(made), contents(tmp_path / "set")
    assert plain.keys() == strong.keys()
    for name, volume in plain.items():
        assert np.array_equal(volume, strong[name]) == name.endswith("_seg.nii.gz")
        assert np.array_equal(volume > 0, strong[name] > 0)
    stated = json.loads((tmp_path / "set" / "PHANTOM.json").read_text())
    assert stated["site_strength"] == 1
    assert stated["profiles"]["site-1"] != stated["profiles"]["site-2"]


def test_validation_of_each_sites_own(tmp_path: Path) -> None:
    out = tmp_path / "set"
    make_phantom(out, out / "datalist", 2, 2, 2, size=SMALL, site_strength=1.0, validation_lists="per_site")
    lists = lists_of(out)
    one, two, everyone = ({case.target for case in lists[site].validation} for site in lists)
    assert (len(one), len(two), one & two) == (2, 2, set())
    assert one | two == everyone
    for site in ("site-1", "site-2"):
        cases = lists[site].all_cases
        assert {institution_of(case.target.parent.name) for case in cases} == {f"PHANTOM{site[-1]}"}
        assert len({case.target for case in cases}) == 4


def test_seed_decides_and_more_cases_leave_the_earlier_ones(made: Path, tmp_path: Path) -> None:
    make_phantom(tmp_path / "less", tmp_path / "less" / "datalist", sites=2, cases=3, validation=2, size=SMALL)
    make_phantom(tmp_path / "other", tmp_path / "other" / "datalist", 2, 1, 2, size=SMALL, seed=1)
    first, less, other = contents(made), contents(tmp_path / "less"), contents(tmp_path / "other")
    assert len(less) == 8 * 5
    assert all(np.array_equal(less[name], first[name]) for name in less)
    assert not any(np.array_equal(other[name], first[name]) for name in other)
    for site in ("site-1", "site-2"):
        more = [case.name for case in lists_of(made)[site].training]
        assert more[:3] == [case.name for case in lists_of(tmp_path / "less")[site].training]


def test_layout_of_2023(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()  # an empty folder may be there
    make_phantom(tmp_path / "set", tmp_path / "lists", 1, 1, 1, size=SMALL, layout="brats2023")
    folder = tmp_path / "set" / "training" / "BraTS-GLI-00002-000"
    assert sorted(p.name for p in folder.iterdir()) == [
        f"BraTS-GLI-00002-000-{part}.nii.gz" for part in ("seg", "t1c", "t1n", "t2f", "t2w")
    ]
    assert set(np.unique(values(folder / "BraTS-GLI-00002-000-seg.nii.gz"))) == {0, 1, 2, 3}
    read = load_datalist(tmp_path / "lists" / "site-1.json", tmp_path / "set")
    assert label_scheme(read.label_scheme).enhancing == 3
    assert all(path.is_file() for case in read.all_cases for path in (*case.images, case.target))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lists", "set"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sites": 0}, "sites is 0"),
        ({"cases": -1}, "cases is -1"),
        ({"validation": 0}, "validation is 0"),
        ({"seed": -3}, "seed is -3"),
        ({"size": (96, 96, 31)}, r"size is \(96, 96, 31\)"),
        ({"size": (96, 96)}, "three numbers"),
        ({"layout": "brats1999"}, "brats2018, brats2023"),
        ({"site_strength": 1.5}, "site_strength is 1.5"),
        ({"site_strength": float("nan")}, "site_strength is nan"),
        ({"validation_lists": "both"}, "shared, per_site"),
    ],
)
def test_wrong_arguments_write_nothing(tmp_path: Path, wrong: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_phantom(tmp_path / "set", tmp_path / "lists", **wrong)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "precious").touch()
    with pytest.raises(InputError, match="not an empty folder"):
        make_phantom(tmp_path / "set", tmp_path / "lists", 1, 1, 1, size=SMALL)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "site-1.json").write_text("mine")
    with pytest.raises(InputError, match=r"already holds site-1\.json"):
        make_phantom(tmp_path / "new", tmp_path / "lists", 1, 1, 1, size=SMALL)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lists", "set"]
    assert (tmp_path / "lists" / "site-1.json").read_text() == "mine"


@pytest.mark.parametrize("name", ["site-7.json", "test.json"])
def test_lists_of_other_sites_are_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).touch()
    monkeypatch.setattr("fedmed.data.phantoms.phantom._write_case", lambda *_: pytest.fail("a phantom was made"))
    with pytest.raises(InputError, match=f"already holds {name}") as caught:
        make_phantom(tmp_path / "new", tmp_path, 1, 1, 1, size=SMALL)
    assert "--force" not in str(caught.value)
    with pytest.raises(InputError, match="is a file"):
        make_phantom(tmp_path / "new", tmp_path / name, 1, 1, 1, size=SMALL)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_failure_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        make_phantom(tmp_path / "set", tmp_path / "set" / "datalist", 1, 1, 1, size=SMALL)
    assert list(tmp_path.iterdir()) == []
