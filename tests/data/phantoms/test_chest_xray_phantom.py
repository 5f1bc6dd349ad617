"""Synthetic chest films: findings where they belong, NIH's layout, patients on one side alone."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedmed.core.errors import InputError
from fedmed.data.chest_xray.findings import FINDINGS, NO_FINDING
from fedmed.data.chest_xray.thorax import LEFT, RIGHT, Chest, Thorax
from fedmed.data.datalist import load_datalist, load_split
from fedmed.data.phantoms.chest_xray_phantom import PROFILES, chest_xray_phantom, demo_chest_xray
from fedmed.data.phantoms.phantom import is_phantom
from fedmed.data.phantoms.thorax_findings import with_findings

PLAIN = Chest()
SITES = ("site-1", "site-2", "site-3")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chest") / "set"
    demo_chest_xray(folder, cases=3, validation=2, test=1)
    return folder


def added(name: str, seed: int = 0) -> np.ndarray:
    """What a finding adds to the map of a plain chest."""
    healthy, ill = (with_findings(np.random.default_rng(seed), PLAIN, names, 96) for names in ((), (name,)))
    return ill - healthy


def test_lungs_are_dark_beside_a_bright_middle_and_the_heart_is_left_of_it() -> None:
    film = chest_xray_phantom(np.random.default_rng(0), PLAIN, (), replace(PROFILES[0], noise=0)).astype(float)
    right, middle, left = film[30:60, 20:34].mean(), film[30:60, 45:51].mean(), film[30:60, 64:76].mean()
    assert middle > 1.4 * max(right, left)
    assert film[80:].mean() > 1.3 * right  # below the diaphragm
    lower = slice(56, 66)
    assert film[lower, 56:62].mean() > 1.3 * film[lower, 34:40].mean()  # in the picture the patient's left is right


@pytest.mark.parametrize("name", FINDINGS)
def test_every_finding_changes_the_film_inside_the_chest(name: str) -> None:
    for seed in range(3):
        change = np.abs(added(name, seed))
        assert (change > 0.1).sum() > 20, seed
        assert change[:8].max() < 0.1  # not the neck


def test_findings_are_where_they_grow() -> None:
    thorax = Thorax.of(PLAIN, 96)
    for seed in range(4):
        fluid, air = added("Effusion", seed), added("Pneumothorax", seed)
        assert thorax.y[fluid > 0.3].mean() > 0.25  # at the bottom
        side = LEFT if air[thorax.x > 0].min() < air[thorax.x < 0].min() else RIGHT
        dark = air < -0.1
        assert np.all(thorax.x[dark] * side > 0)  # of one side
        assert np.abs(thorax.x[dark]).mean() > 0.4  # beside the wall
        assert np.abs(thorax.x[np.abs(added("Hernia", seed)) > 0.1]).mean() < 0.2
        assert (added("Mass", seed) > 0.3).sum() > 3 * (added("Nodule", seed) > 0.3).sum() / 2
    wide = [Thorax.of(replace(PLAIN, heart=width), 96).heart.sum(axis=0) for width in (0.3, 0.48)]
    assert (wide[1] > 1).sum() > 1.3 * (wide[0] > 1).sum()


def test_equal_seeds_give_equal_films() -> None:
    one, again, other = (
        chest_xray_phantom(np.random.default_rng(seed), PLAIN, ("Nodule",), PROFILES[0]) for seed in (1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert one.dtype == np.uint8


def test_the_set_has_nihs_layout(demo: Path) -> None:
    assert is_phantom(demo)
    with (demo / "Data_Entry_2017.csv").open(newline="") as file:
        rows = [*csv.DictReader(file)]
    films = {path.name: path for path in demo.glob("images_*/images/*.png")}
    assert {row["Image Index"] for row in rows} == {*films}
    for row in rows:
        names = row["Finding Labels"].split("|")
        assert names == [NO_FINDING] or (set(names) <= set(FINDINGS) and len(set(names)) == len(names))
        assert row["Image Index"] == f"{int(row['Patient ID']):08d}_{int(row['Follow-up #']):03d}.png"
    train, test = ((demo / f"{name}_list.txt").read_text().split() for name in ("train_val", "test"))
    assert sorted([*train, *test]) == sorted(films)
    assert {name[:8] for name in train}.isdisjoint(name[:8] for name in test)
    with Image.open(next(iter(films.values()))) as film:
        assert film.mode == "L"


def test_lists_have_the_films_of_the_table_and_patients_on_one_side(demo: Path) -> None:
    with (demo / "Data_Entry_2017.csv").open(newline="") as file:
        labels = {row["Image Index"]: row["Finding Labels"] for row in csv.DictReader(file)}
    seen: list[set[str]] = []
    for place, site in enumerate(SITES, start=1):
        found = load_datalist(demo / "datalist" / f"{site}.json", demo)
        for part in (found.training, found.validation, found.testing):
            seen.append({str(case.extra["patient"]) for case in part})
            for case in part:
                assert isinstance(case.target, tuple)
                assert ("|".join(map(str, case.target)) or NO_FINDING) == labels[case.images[0].name]
                assert case.images[0].is_relative_to(demo / f"images_{place:03d}")
                assert case.extra["view"] in ("PA", "AP")
                assert 20 <= case.extra["age"] <= 95
    assert [len(each) for each in seen] == [3, 2, 1] * 3
    assert len(set().union(*seen)) == 18
    test, _ = load_split(demo / "datalist" / "test.json", demo, "testing")
    assert {case.name for case in test} == {path[:12] for path in (demo / "test_list.txt").read_text().split()}


def test_every_finding_is_in_every_part_of_the_default_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blank = np.zeros((8, 8), np.uint8)
    monkeypatch.setattr("fedmed.data.phantoms.chest_xray_phantom.chest_xray_phantom", lambda *_: blank)
    demo_chest_xray(tmp_path / "set")
    everyone = json.loads((tmp_path / "set" / "datalist" / "site-All.json").read_text())
    for part in ("training", "validation", "testing"):
        names = [name for entry in everyone[part] for name in entry["label"]]
        assert min(names.count(name) for name in FINDINGS) >= 4


def test_what_is_there_stays_and_other_files_are_not_overwritten(demo: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in demo.rglob("*")}
    demo_chest_xray(demo)
    assert {path: path.stat().st_mtime_ns for path in demo.rglob("*")} == before
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="is not an empty folder"):
        demo_chest_xray(tmp_path)
