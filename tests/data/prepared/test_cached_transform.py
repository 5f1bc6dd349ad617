"""Cases kept on disk: computed once, by any process, and never those of other files or of another transform."""

import logging
import multiprocessing
import resource
import shutil
from collections.abc import Sequence
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import monai.transforms as mt
import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from fedmed.data.image_file import read_image
from fedmed.data.prepared.cache import Cache
from fedmed.data.prepared.cached_transform import CachedTransform
from fedmed.data.prepared.compact import PARTS, Compact, Expand

SHAPE = (20, 18, 16)
FORK = multiprocessing.get_context("fork")


def make_item(folder: Path, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.nii" for name in ("a", "b", "seg")]
    for path in paths:
        values = rng.integers(0, 4, SHAPE).astype(np.int16)
        values[0], values[:, 15:] = 0, 0
        nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    return {"image": [str(path) for path in paths[:2]], "label": str(paths[2]), "case": folder.name}


def chain(factor: float = 1.0) -> list[Any]:
    both = ("image", "label")
    return [mt.LoadImaged(both), mt.EnsureChannelFirstd(both), mt.ScaleIntensityd("image", 0, factor), Compact()]


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in PARTS)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.case"))


@pytest.fixture
def disk(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", 10**9)


def make_picture(folder: Path, target: Any) -> dict[str, Any]:
    """A coloured picture in a black frame, whose label is a class or several."""
    folder.mkdir(parents=True, exist_ok=True)
    values = np.zeros((12, 15, 3), np.uint8)
    values[3:9, 2:11] = np.random.default_rng(0).integers(1, 256, (6, 9, 3))
    Image.fromarray(values).save(folder / "a.png")
    return {"image": [str(folder / "a.png")], "label": target, "case": "a"}


class Loaded(mt.Transform):
    """A picture as (C, H, W)."""

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        values = read_image(Path(item["image"][0])).voxels.copy()
        return {**item, "image": torch.from_numpy(values).movedim(-1, 0).float()}


@pytest.mark.parametrize("target", [2, "glioma", [0, 3]])
def test_a_picture_with_classes_is_cached_without_them(tmp_path: Path, disk: Cache, target: Any) -> None:
    item = make_picture(tmp_path / "p", target)
    fixed = [Loaded(), Compact(keys=("image",))]
    plain, cold, warm = (CachedTransform(fixed, cache, ("image",))(item) for cache in (None, disk, disk))
    other = CachedTransform(fixed, disk, ("image",))({**item, "label": 7})
    assert len(entries(disk.folder)) == 1
    assert plain["image"].shape == (3, 6, 9)
    for each in (plain, cold, warm):
        whole = Expand(keys=("image",))(each)
        assert whole["label"] == target
        assert whole["case"] == "a"
        assert torch.equal(whole["image"], Loaded()(item)["image"].half())
    assert other["label"] == 7
    assert torch.equal(other["image"], warm["image"])


def test_computed_stored_and_read_are_one(tmp_path: Path, disk: Cache) -> None:
    item = make_item(tmp_path / "c")
    plain, cold, warm = (CachedTransform(chain(), cache)(item) for cache in (None, disk, disk))
    assert same(plain, cold)
    assert same(plain, warm)
    assert warm["case"] == "c"
    assert len(entries(disk.folder)) == 1


def test_once_stored_the_transforms_run_no_more(tmp_path: Path, disk: Cache) -> None:
    item = make_item(tmp_path / "c")
    first = CachedTransform(chain(), disk)(item)
    again = CachedTransform(chain(), disk)
    again.fixed = mt.Compose([])  # which would hand on the paths
    assert same(again(item), first)


def test_the_same_contents_elsewhere_are_the_same_case(tmp_path: Path, disk: Cache) -> None:
    item = make_item(tmp_path / "c")
    shutil.copytree(tmp_path / "c", tmp_path / "other name")
    other = make_item(tmp_path / "other name")
    assert CachedTransform(chain(), disk).entry(item) == CachedTransform(chain(), disk).entry(other)


@pytest.mark.parametrize("changed", ["a.nii", "b.nii", "seg.nii"])
def test_a_changed_file_is_never_stale_not_even_in_a_running_process(tmp_path: Path, disk: Cache, changed: str) -> None:
    item = make_item(tmp_path / "c")
    kept = CachedTransform(chain(), disk)
    before = kept(item)
    values = np.full(SHAPE, 3, np.int16)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "c" / changed)
    after = kept(item)
    assert not same(before, after)
    assert same(after, CachedTransform(chain(), None)(item))
    assert same(after, CachedTransform(chain(), disk)(item))


def test_another_transform_is_another_entry(tmp_path: Path, disk: Cache) -> None:
    item = make_item(tmp_path / "c")
    for factor in (1.0, 2.0):
        stored = CachedTransform(chain(factor), disk)(item)
        assert float(stored["image"].max()) == factor
    assert len(entries(disk.folder)) == 2


def test_what_changed_while_it_was_read_is_not_kept(tmp_path: Path, disk: Cache) -> None:
    item = make_item(tmp_path / "c")

    class Meddle:
        def __call__(self, data: Any) -> Any:
            shutil.copy(item["image"][0], item["label"])
            return data

    CachedTransform([Meddle(), *chain()], disk)(item)
    assert entries(disk.folder) == []


@pytest.mark.parametrize("keep", [0, 1, 4, 100, -1])
def test_a_damaged_entry_is_computed_anew_and_replaced(tmp_path: Path, disk: Cache, keep: int) -> None:
    item = make_item(tmp_path / "c")
    kept = CachedTransform(chain(), disk)
    first = kept(item)
    entry = entries(disk.folder)[0]
    whole = entry.read_bytes()
    entry.write_bytes(whole[:keep])
    assert same(kept(item), first)
    assert entry.read_bytes() == whole


def fill(folder: Path, items: Sequence[dict[str, Any]], answer: "Queue[Any]") -> None:
    kept = CachedTransform(chain(), Cache(folder, 10**9))
    answer.put([{name: value.numpy() for name, value in kept(item).items() if name in PARTS} for item in items])


def test_processes_that_fill_it_at_once_agree(tmp_path: Path) -> None:
    items = [make_item(tmp_path / str(n), n) for n in range(6)]
    answer = FORK.Queue()
    folder = tmp_path / "cache"
    processes = [FORK.Process(target=fill, args=(folder, items[n:] + items[:n], answer)) for n in (0, 0, 2, 4)]
    for process in processes:
        process.start()
    answers = [answer.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    expected = [CachedTransform(chain(), None)(item) for item in items]
    for found in answers:
        turn = next(n for n in (0, 2, 4) if np.array_equal(found[0]["image"], expected[n]["image"].numpy()))
        for one, other in zip(found, expected[turn:] + expected[:turn], strict=True):
            assert all(np.array_equal(one[name], other[name].numpy()) for name in PARTS)
    stored = list(folder.iterdir())
    assert len(stored) == len(items)
    disk = Cache(folder, 10**9)
    assert all(disk.read(path.name) is not None for path in stored)


def go_on_with_a_full_disk(folder: Path, items: Sequence[dict[str, Any]], answer: "Queue[Any]") -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
    told: list[str] = []
    logging.getLogger("fedmed.data.prepared.cache").addFilter(lambda record: told.append(record.getMessage()) or False)  # type: ignore[func-returns-value]
    kept = CachedTransform(chain(), Cache(folder, 10**9))
    answer.put(([{name: kept(item)[name].numpy() for name in PARTS} for item in items], told))


def test_a_run_goes_on_when_the_disk_is_full(tmp_path: Path) -> None:
    items = [make_item(tmp_path / str(n), n) for n in range(2)]
    answer = FORK.Queue()
    process = FORK.Process(target=go_on_with_a_full_disk, args=(tmp_path / "cache", items, answer))
    process.start()
    found, told = answer.get(timeout=60)
    process.join()
    for one, item in zip(found, items, strict=True):
        plain = CachedTransform(chain(), None)(item)
        assert all(np.array_equal(one[name], plain[name].numpy()) for name in PARTS)
    assert len(told) == 1
    assert str(tmp_path / "cache") in told[0]
    assert "--cache_dir" in told[0]
    assert list((tmp_path / "cache").iterdir()) == []
