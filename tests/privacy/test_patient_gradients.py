"""A patient's gradient at a site is the same to the bit whoever else is there: the largest, the smallest, the odd one.

What all patients decide together, such as a crop that fits the largest volume, must not enter it, or one patient's
presence would change every gradient and noise for one of them would hide nobody.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import monai.transforms as mt
import numpy as np
import pytest
import torch
from monai.data import CacheDataset
from PIL import Image
from torch.utils.data import Dataset

from fedmed.command_line import read_experiment
from fedmed.core.names import STATE_VARIABLE
from fedmed.data.datalist import Datalist
from fedmed.data.phantoms.hippocampus_phantom import demo_hippocampi
from fedmed.data.phantoms.phantom import make_phantom
from fedmed.data.prepared.cache import Caching
from fedmed.privacy.patient_level import PatientLevelTraining
from fedmed.site.local_training import LocalSite
from fedmed.tasks.base import Task
from fedmed.tasks.brats18 import Brats18
from fedmed.tasks.hippocampus import Hippocampus
from model import BratsSegResNet, HippocampusSegResNet
from tests.toy.toy_task import make_toy

Size = tuple[int, int, int]
MakeSet = Callable[[Path, int, Size, int], None]
Gradients = dict[str, list[torch.Tensor]]

USUAL, LARGE, SMALL, ODD, HELD_OUT = "usual", "large", "small", "odd", "held out"
PRIVATE = (*("--privacy", "dpsgd", "--dp_noise_multiplier", "1", "--insecure_seeded_noise", "--precision", "fp32"),)


@pytest.fixture(autouse=True)
def _on_one_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "sites"))


def brats_set(folder: Path, cases: int, size: Size, seed: int) -> None:
    make_phantom(folder, folder / "datalist", sites=1, cases=cases, validation=1, size=size, seed=seed)


def hippocampus_set(folder: Path, cases: int, size: Size, seed: int) -> None:
    demo_hippocampi(folder, 1, cases, 1, size, seed)


def patients(make: MakeSet, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The entries of each patient's cases in ``folder``; the odd one has two, of another shape."""
    sizes = {USUAL: (40, 40, 40), LARGE: (48, 40, 40), SMALL: (32, 32, 32), ODD: (32, 40, 40)}
    made, held_out = {}, []
    for seed, (name, size) in enumerate(sizes.items(), start=1):
        make(folder / name, 2 if name in (USUAL, ODD) else 1, size, seed)
        lists = json.loads((folder / name / "datalist" / "site-1.json").read_text())
        made[name], held_out = [[_moved(entry, name) for entry in lists[of]] for of in ("training", "validation")]
    usual = made.pop(USUAL)
    return {"usual-1": usual[:1], "usual-2": usual[1:], **made, HELD_OUT: held_out}


def _moved(entry: dict[str, Any], folder: str) -> dict[str, Any]:
    """The entry with paths that begin a folder higher."""
    image = entry["image"]
    paths = [f"{folder}/{path}" for path in ([image] if isinstance(image, str) else image)]
    return {"image": paths[0] if isinstance(image, str) else paths, "label": f"{folder}/{entry['label']}"}


def gradients(folder: Path, cases: dict[str, list[dict[str, Any]]], without: str, *arguments: str) -> Gradients:
    """The gradients of each patient's items at a site with these patients but one, and one to validate on."""
    there = {name: entries for name, entries in cases.items() if name not in (without, HELD_OUT)}
    training = [{**entry, "patient": name} for name, entries in there.items() for entry in entries]
    lists = folder / f"without-{without}"
    lists.mkdir(exist_ok=True)
    (lists / "site-All.json").write_text(json.dumps({"training": training, "validation": cases[HELD_OUT]}))
    data = ("--dataset_base_dir", str(folder), "--datalist_json_path", str(lists), "--n_clients", "1")
    torch.manual_seed(0)
    site = LocalSite(read_experiment([*data, *PRIVATE, "--batch_size", "1", *arguments]), "site-All", "job")
    private = site.private
    assert isinstance(private, PatientLevelTraining)
    assert private.names == sorted(there)
    return {name: _of_patient(site, private, place) for place, name in enumerate(private.names)}


def _of_patient(site: LocalSite, private: PatientLevelTraining, place: int) -> list[torch.Tensor]:
    (places,) = private._places(site.training.seed, 1, 0, [place])
    site.order.follow(places)
    found = []
    for at, batch in zip(places, site.batches, strict=True):
        site.model.zero_grad()
        torch.manual_seed(at.seed)
        site.loss_of(batch).backward()
        found.append(torch.cat([p.grad.flatten() for p in site.model.parameters() if p.grad is not None]))
    return found


def expect_the_same_whoever_is_there(of: Callable[[str], Gradients], removed: Sequence[str]) -> None:
    everybody = of("nobody")
    assert all(gradient.any() for of_patient in everybody.values() for gradient in of_patient)
    for name in removed:
        others = of(name)
        assert set(others) == set(everybody) - {name}
        for patient, of_patient in others.items():
            for one, other in zip(of_patient, everybody[patient], strict=True):
                assert torch.equal(one, other), f"the gradient of {patient} is another one without {name}"


@pytest.fixture(scope="module")
def brains(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[dict[str, Any]]]]:
    folder = tmp_path_factory.mktemp("brains")
    return folder, patients(brats_set, folder)


@pytest.mark.parametrize("normalize", ["volume", "crop"])
def test_of_brain_tumours_where_the_crop_is_fitted_to_the_volumes(
    normalize: str, brains: tuple[Path, dict[str, list[dict[str, Any]]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = {"init_filters": 8, "blocks_down": (1, 1, 1, 1), "dropout_prob": 0.2}
    monkeypatch.setattr(Brats18, "build_model", lambda self: BratsSegResNet(**tiny))
    folder, cases = brains
    expect_the_same_whoever_is_there(
        lambda without: gradients(folder, cases, without, "--normalize", normalize), [LARGE, SMALL, ODD]
    )


def test_of_the_hippocampus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hippocampus, "build_model", lambda self: HippocampusSegResNet())
    cases = patients(hippocampus_set, tmp_path)
    window = ("--task", "hippocampus", "--network", "segresnet", "--window_size", "32", "32", "32")
    expect_the_same_whoever_is_there(lambda without: gradients(tmp_path, cases, without, *window), [LARGE, SMALL, ODD])


def coupled(self: Task, datalist: Datalist, caching: Caching) -> Dataset[Any]:
    """Items that depend on all cases of the list: a common size, the mean and deviation of all, and class weights."""
    pictures = [np.asarray(Image.open(case.images[0]), np.float32) for case in datalist.training]
    pixels = np.concatenate([picture.ravel() for picture in pictures])
    labels = [int(case.target) for case in datalist.training]  # type: ignore[call-overload]
    items = [
        {"image": str(case.images[0]), "label": label, "case": case.name}
        for case, label in zip(datalist.training, labels, strict=True)
    ]
    transforms = [
        mt.LoadImaged("image", reader="PILReader"),
        mt.EnsureChannelFirstd("image"),
        mt.NormalizeIntensityd("image", subtrahend=pixels.mean(), divisor=pixels.std() * (1 + labels.count(1))),
        mt.ResizeWithPadOrCropd("image", spatial_size=[max(picture.shape[0] for picture in pictures)] * 2),
        mt.RandFlipd("image", prob=0.5, spatial_axis=0),
        mt.CastToTyped("image", dtype=torch.float32),
    ]
    return CacheDataset(items, transforms, cache_rate=caching.share_in_memory, num_workers=1, progress=False)


@pytest.mark.parametrize("share", ["0", "0.5", "1"])
def test_of_any_task_whatever_it_derives_from_its_cases(
    share: str, toy_task: type[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_toy(tmp_path, sites=1, cases=7, validation=1)
    entries = json.loads((tmp_path / "datalist" / "site-1.json").read_text())["training"]
    for entry, edge, factor in zip(entries, (16, 16, 28, 10, 14, 18, 16), (1, 1, 1, 1, 0.1, 0.2, 1), strict=True):
        picture = Image.open(tmp_path / entry["image"]).resize((edge, edge))
        Image.fromarray((np.asarray(picture) * factor).astype(np.uint8)).save(tmp_path / entry["image"])
        del entry["patient"]
    names = {"usual-1": entries[:1], "usual-2": entries[1:2], LARGE: entries[2:3], SMALL: entries[3:4]}
    names |= {ODD: entries[4:6], HELD_OUT: entries[6:]}
    monkeypatch.setattr(toy_task, "train_set", coupled)
    arguments = ("--task", "toy_task", "--cache_dataset", share)
    expect_the_same_whoever_is_there(
        lambda without: gradients(tmp_path, names, without, *arguments), [LARGE, SMALL, ODD]
    )
