"""What the network says lies where the patient's files say, however these lie in space."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.analysis.prediction.native_grid import brain_tumour_task, painted, probabilities
from fedmed.analysis.prediction.patient_files import files_by_name
from fedmed.core.errors import InputError
from fedmed.data.brats.brats_layout import find_cases, label_scheme
from fedmed.data.datalist import Case
from fedmed.data.prepared.cache import Caching
from fedmed.tasks.brats18 import Brats18
from tests.analysis.prediction.patients import OBLIQUE

Patient = Callable[..., tuple[Path, np.ndarray]]
Model = Callable[..., TrainedModel]
AFFINES = {
    "lps": (np.diag([-1.0, -1, 1, 1]), (40, 36, 34)),
    "turned": (np.array([[0, 0, 1.0, 5], [-1, 0, 0, 3], [0, 1, 0, -9], [0, 0, 0, 1]]), (38, 41, 37)),
    "thick": (np.diag([1.0, 0.8, 3.0, 1]), (40, 48, 14)),
    "oblique": (OBLIQUE, (44, 28, 18)),
}
OPTIONS: list[dict[str, Any]] = [{}, {"crop_to_brain": True}, {"windows": "padded"}, {"normalize": "crop"}]


def images(folder: Path) -> list[Path]:
    return list(files_by_name([folder]).images.values())


@pytest.mark.parametrize("lie", AFFINES)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_tumour_is_found_where_it_is_in_the_files_own_voxels(
    patient: Patient, by_brightness: Model, lie: str, options: dict[str, Any]
) -> None:
    """At 1 mm exactly. Resampled, a voxel on its surface may fall either way, one deeper may not."""
    affine, shape = AFFINES[lie]
    folder, tumour = patient(affine, shape)
    found = probabilities(by_brightness(**options), images(folder), flips=False)
    assert found.shape == (3, *shape)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    for region in found > 0.5:
        if lie in ("lps", "turned"):
            np.testing.assert_array_equal(region, tumour)
        else:
            dice = 2 * (region & tumour).sum() / (region.sum() + tumour.sum())
            off = np.subtract(np.mean(region.nonzero(), axis=1), np.mean(tumour.nonzero(), axis=1))
            assert dice > 0.93
            assert np.abs(affine[:3, :3] @ off).max() < 0.25  # mm


@pytest.mark.parametrize(("options", "flips"), [*((each, False) for each in OPTIONS), ({}, True)], ids=str)
def test_it_is_the_evaluations_prediction(phantom: Path, options: dict[str, Any], flips: bool) -> None:
    """Of a network that sees a voxel's neighbours, and knows sides; phantoms lie LPS, what is evaluated RAS."""
    case = find_cases(phantom)[0]
    task = Brats18(infer_roi_size=(40, 40, 32), **options)
    torch.manual_seed(0)
    network = torch.nn.Conv3d(4, 3, 3, padding=1).eval()
    model = TrainedModel("random", Path("w.pt"), task, "fp32", network, torch.device("cpu"))
    found = probabilities(model, case.image, flips)
    item = task.eval_set([Case(case.image, case.label, {}, case.name)], None, Caching())[0]
    with model.inference():
        expected = task.probabilities(network, item["image"][None].as_subclass(torch.Tensor), flips)[0].numpy()
    if options.get("windows") == "padded":
        (x, y, z), most = found.shape[1:], expected.shape[1:]
        starts = [(whole - own) // 2 for own, whole in zip((x, y, z), most, strict=True)]
        expected = expected[:, starts[0] :, starts[1] :, starts[2] :][:, :x, :y, :z]
    turned = found[:, ::-1, ::-1]
    if options.get("crop_to_brain"):  # the evaluation's box holds the label too, here inside the brain
        inside = turned.any(axis=0).nonzero()
        turned = turned[(slice(None), *(slice(each.min(), each.max() + 1) for each in inside))]
    np.testing.assert_array_equal(turned, expected)
    assert 0 < (expected > 0.5).mean() < 1


@pytest.mark.parametrize(("name", "enhancing"), [("brats2018", 4), ("brats2023", 3)])
def test_the_inner_region_is_painted_over_the_outer(name: str, enhancing: int) -> None:
    """All eight ways in which a voxel can be of TC, WT and ET."""
    core, whole, enhanced = np.array([[c, w, e] for c in (0, 1) for w in (0, 1) for e in (0, 1)], bool).T
    regions = np.stack([core, whole, enhanced])[:, None, None]
    labels = painted(regions, label_scheme(name))
    assert labels.dtype == np.uint8
    assert labels[0, 0].tolist() == [0, enhancing, 2, enhancing, 1, enhancing, 1, enhancing]


def test_a_model_of_another_task_is_refused(by_brightness: Model) -> None:
    class Other:
        name = "chest_xray"

    with pytest.raises(InputError, match="trained for the task chest_xray; expected a model of brats18"):
        brain_tumour_task(replace(by_brightness(), task=Other()))  # type: ignore[arg-type]


def test_a_network_that_gives_nan_is_refused(patient: Patient, by_brightness: Model) -> None:
    class Broken(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image[:, :3] * float("nan")

    folder, _ = patient()
    with pytest.raises(InputError, match="prediction holds NaN"):
        probabilities(replace(by_brightness(), network=Broken()), images(folder), flips=False)
