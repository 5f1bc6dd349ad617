"""The script that tells the findings of chest films, with a model of random weights."""

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from pydicom.data import get_testdata_file

from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.analysis.prediction.image_prediction import classified
from fedmed.analysis.prediction.saliency import SaliencyMaps
from fedmed.command_line import read_experiment
from fedmed.core.cli import run_script
from fedmed.core.names import BEST
from fedmed.core.weights import save_weights
from fedmed.data.chest_xray.findings import FINDINGS
from fedmed.data.chest_xray.thorax import Thorax, random_chest
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.chest_xray import ChestXray
from result_stat import predict
from tests.test_predict_images import refused

SMALL = ChestXray(network="resnet18", image_size=64)


def film(seed: int, edge: int = 96) -> NDArray[np.uint8]:
    """A made-up film (edge, edge) of a healthy patient, air black."""
    absorbed = Thorax.of(random_chest(np.random.default_rng(seed)), edge).absorbed()
    return np.asarray(255 * (absorbed - absorbed.min()) / np.ptp(absorbed)).round().astype(np.uint8)


def write_dicom(path: Path, grey: NDArray[np.uint8]) -> None:
    """Write a film with 12 bits, of which high values are dark, a rescaling, and a window of the whole range."""
    stored = pydicom.dcmread(get_testdata_file("MR_small.dcm", download=False))
    stored.Modality, stored.PhotometricInterpretation = "DX", "MONOCHROME1"
    stored.Rows, stored.Columns = grey.shape
    stored.BitsStored, stored.HighBit, stored.PixelRepresentation = 12, 11, 0
    stored.PixelData = ((255 - grey.astype(np.uint16)) * 16).tobytes()
    stored.RescaleSlope, stored.RescaleIntercept = "2", "-100"
    stored.WindowCenter, stored.WindowWidth = "3980.5", "8161"
    for name in ("SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue"):
        if name in stored:
            delattr(stored, name)
    stored.save_as(path)


def model_of(folder: Path, task: ChestXray) -> TrainedModel:
    torch.manual_seed(0)
    network = task.build_model().eval()
    save_weights(network.state_dict(), folder / BEST)
    return TrainedModel("random", folder / BEST, task, "fp32", network, torch.device("cpu"))


def test_a_film_in_dicom_is_what_the_same_is_as_a_picture(tmp_path: Path) -> None:
    model, grey = model_of(tmp_path, SMALL), film(0)[:, 8:]
    Image.fromarray(grey).save(tmp_path / "a.png")
    Image.fromarray(grey).convert("RGBA").save(tmp_path / "rgba.png")
    write_dicom(tmp_path / "a.dcm", grey)
    found = [classified(model, tmp_path / name) for name in ("a.png", "rgba.png", "a.dcm")]
    assert len(set(found[0].probabilities)) == len(FINDINGS)
    assert {each.probabilities for each in found} == {found[0].probabilities}
    assert {each.oddities for each in found} == {()}


@pytest.mark.parametrize(
    ("turns", "inverted", "said"),
    [
        (0, False, ""),
        (1, False, "seems to be turned by a quarter to the left"),
        (2, False, "seems to be upside down"),
        (3, False, "seems to be turned by a quarter to the right"),
        (0, True, "seems to be inverted (air is white)"),
    ],
)
def test_a_film_that_does_not_lie_as_it_should_is_told(tmp_path: Path, turns: int, inverted: bool, said: str) -> None:
    for seed in range(3):
        grey = np.rot90(film(seed), turns)
        Image.fromarray(255 - grey if inverted else grey).save(tmp_path / "a.png")
        assert SMALL.oddities(tmp_path / "a.png") == ((said,) if said else ())


@pytest.mark.parametrize("network", ["resnet34", "densenet121"])
def test_each_networks_places_are_found(tmp_path: Path, network: str) -> None:
    """The layer is there and can be watched; of some finding there is evidence somewhere and not everywhere."""
    task = ChestXray(network=network, image_size=64)
    Image.fromarray(film(0)).save(tmp_path / "a.png")
    maps, image = SaliencyMaps(model_of(tmp_path, task)), task.new_image(tmp_path / "a.png")
    heats = [maps.of(image, number) for number in range(4)]
    assert {heat.shape for heat in heats} == {(64, 64)}
    assert any(heat.max() == 1 and heat.min() < 0.5 for heat in heats)


def test_a_user_gets_the_findings_by_the_runs_thresholds_and_a_warning_of_a_film_on_its_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder.create(tmp_path, "run")
    lists = tmp_path / "lists"
    lists.mkdir()
    given = ["--task", "chest_xray", "--network", "resnet18", "--image_size", "64", "--n_clients", "1"]
    run.write_experiment(
        read_experiment([*given, "--dataset_base_dir", str(tmp_path), "--datalist_json_path", str(lists)])
    )
    own = model_of(run.path, SMALL)
    Image.fromarray(np.rot90(film(1))).save(tmp_path / "side.png")
    found = dict(zip(FINDINGS, classified(own, tmp_path / "side.png").probabilities, strict=True))
    limits = {name: (0.9 * found[name] if number % 2 else None) for number, name in enumerate(FINDINGS)}
    chosen = {name: {"threshold": limit, "chosen_on": "9 validation films"} for name, limit in limits.items()}
    run.write_json("thresholds", chosen)
    asked = ["--model", str(run.path), "--saliency", str(tmp_path / "s"), "--report", str(tmp_path / "r.json")]
    assert run_script(predict.main, [*asked, str(tmp_path / "side.png")]) == 0
    told = capsys.readouterr().out
    image = json.loads((tmp_path / "r.json").read_text())["images"][0]
    assert image["probabilities"] == pytest.approx(found, rel=0.02)  # the run may compute in bf16
    assert set(image["present"]) == {name for name, limit in limits.items() if limit is not None}
    assert image["warnings"] == [f"{tmp_path / 'side.png'} seems to be turned by a quarter to the left."]
    assert image["warnings"][0] in told
    assert "Without a threshold, so never told: Atelectasis, Effusion, Mass" in told
    assert (tmp_path / "s" / "side.png.png").is_file()
    assert "did you mean Effusion?" in refused(capsys, *asked, "--force", "--finding", "Efusion", tmp_path / "side.png")
