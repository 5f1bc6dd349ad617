"""The bundle of a model of pictures: MONAI runs it with the files in it alone, and finds what this project finds."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import monai.bundle
import numpy as np
import pytest
import torch
from PIL import Image
from pydicom.data import get_testdata_file

from fedmed.analysis.bundle.bundle_export import export_bundle
from fedmed.analysis.bundle.picture_bundle import PictureTask, picture_bundle, picture_inference
from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.analysis.prediction.image_prediction import classified
from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError
from fedmed.core.names import BEST
from fedmed.core.weights import save_weights
from fedmed.data.brain_mri.classes import CLASSES
from fedmed.data.chest_xray.findings import FINDINGS
from fedmed.data.prepared.picture_folder import WriteProbabilities, picture_items
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.brain_mri import BrainMri
from fedmed.tasks.chest_xray import ChestXray
from tests.analysis.bundle.test_bundle_export import DEMANDED, EXTRA


def model_of(folder: Path, task: PictureTask) -> TrainedModel:
    """A model with random weights, the best one of a run's folder that has nothing else."""
    torch.manual_seed(0)
    network = task.build_model().eval()
    path = folder / BEST
    save_weights(network.state_dict(), path)
    return TrainedModel("random", path, task, "fp32", network, torch.device("cpu"))


def write_pictures(folder: Path) -> list[Path]:
    """A grey picture, one in colour that is no square, and a slice in DICOM, in two folders, beside a text."""
    (folder / "more").mkdir(parents=True)
    generator = np.random.default_rng(0)
    Image.fromarray(generator.integers(0, 256, (80, 80), dtype=np.uint8)).save(folder / "a, b.png")
    Image.fromarray(generator.integers(0, 256, (40, 90, 3), dtype=np.uint8)).save(folder / "colour.jpg")
    shutil.copy(str(get_testdata_file("MR_small.dcm", download=False)), folder / "more" / "slice.dcm")
    (folder / "notes.txt").write_text("no picture")
    return [folder / "a, b.png", folder / "colour.jpg", folder / "more" / "slice.dcm"]


def run_bundle(bundle: Path, pictures: Path, out: Path) -> list[dict[str, str]]:
    """The table that MONAI's command line writes in a bundle's own folder, from which alone this project can come."""
    arguments = ["run", "--config_file", "configs/inference.json", "--workflow_type", "inference"]
    arguments += ["--meta_file", "configs/metadata.json", "--dataset_dir", str(pictures), "--output_dir", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(EXTRA)}
    command = [sys.executable, "-m", "monai.bundle", *arguments]
    done = subprocess.run(command, cwd=bundle, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "properties" not in done.stderr  # MONAI's warning where one that it requires is missing
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_monais_command_line_writes_the_same_probabilities(tmp_path: Path) -> None:
    files = write_pictures(tmp_path / "pictures")
    model = model_of(tmp_path, BrainMri(image_size=64, norm="group"))
    export_bundle(model, tmp_path / "bundle")
    rows = run_bundle(tmp_path / "bundle", tmp_path / "pictures", tmp_path / "out")
    assert [row["file"] for row in rows] == ["a, b.png", "colour.jpg", "more/slice.dcm"]
    for row, path in zip(rows, files, strict=True):
        own = classified(model, path)
        assert [float(row[name]) for name in CLASSES] == pytest.approx(own.probabilities, abs=1e-5)
        assert row["class"] == CLASSES[own.decided]


def test_findings_are_told_by_the_runs_thresholds(tmp_path: Path) -> None:
    files = write_pictures(tmp_path / "pictures")
    model = model_of(tmp_path, ChestXray(image_size=64, network="densenet121", channels=3))
    first = classified(model, files[0]).probabilities
    limits = [None if number == 0 else probability - 1e-3 for number, probability in enumerate(first)]
    chosen = {name: {"threshold": limit, "chosen_on": "?"} for name, limit in zip(FINDINGS, limits, strict=True)}
    (tmp_path / "thresholds.json").write_text(json.dumps(chosen))
    RunFolder(tmp_path).write_experiment(read_experiment(["--task", "chest_xray"]))
    export_bundle(model, tmp_path / "bundle")
    rows = run_bundle(tmp_path / "bundle", tmp_path / "pictures", tmp_path / "out")
    for row, path in zip(rows, files, strict=True):
        own = classified(model, path)
        assert [float(row[name]) for name in FINDINGS] == pytest.approx(own.probabilities, abs=1e-5)
    assert rows[0]["present"] == "|".join(FINDINGS[1:])


@pytest.mark.parametrize(
    "task", [BrainMri(image_size=64), ChestXray(network="resnet34", channels=3, norm="group", image_size=96)]
)
def test_monai_accepts_metadata_network_and_weights(tmp_path: Path, task: PictureTask) -> None:
    out = tmp_path / "bundle"
    export_bundle(model_of(tmp_path, task), out)
    about, config = str(out / "configs" / "metadata.json"), str(out / "configs" / "inference.json")
    (tmp_path / "schema.json").write_text(json.dumps(DEMANDED))
    monai.bundle.verify_metadata(meta_file=about, filepath=str(tmp_path / "schema.json"))
    monai.bundle.verify_net_in_out(net_id="network_def", meta_file=about, config_file=config, device="cpu")
    network = monai.bundle.ConfigWorkflow(config, about, bundle_root=str(out)).parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(out / "models" / "model.pt", weights_only=True))
    found = json.loads(Path(about).read_text())["network_data_format"]
    assert found["inputs"]["image"]["spatial_shape"] == [task.image_size] * 2
    assert found["inputs"]["image"]["num_channels"] == task.channels
    assert list(found["outputs"]["pred"]["channel_def"].values()) == list(task.TARGETS)
    text = (out / "docs" / "README.md").read_text()
    assert "Research only" in text
    assert str(tmp_path) not in text


def test_only_what_is_needed_of_this_project_lies_in_a_bundle(tmp_path: Path) -> None:
    model = model_of(tmp_path, BrainMri(image_size=64))
    found = picture_bundle(model, BrainMri(image_size=64)).sources
    names = {path.as_posix() for path in found}
    assert "fedmed/networks/picture_resnet.py" in names
    assert "fedmed/networks/transformer_unet.py" not in names
    assert not any("nvflare" in text for text in found.values())
    assert {name.split("/")[1] for name in names} == {"__init__.py", "core", "data", "networks"}


def test_another_network_is_refused(tmp_path: Path) -> None:
    model = TrainedModel("a", tmp_path / "w.pt", BrainMri(), "fp32", torch.nn.Linear(2, 2), torch.device("cpu"))
    with pytest.raises(InputError, match="a bundle of brain_mri can be made of its networks alone"):
        export_bundle(model, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("several", "thresholds", "told"),
    [
        (False, None, ["b", "a"]),
        (True, None, ["not decided", "not decided"]),
        (True, [0.5, 0.2, None], ["b", "a|b"]),
        (True, [None, None, None], ["", ""]),
    ],
)
def test_a_table_tells_the_class_or_the_findings(
    tmp_path: Path, several: bool, thresholds: list[float | None] | None, told: list[str]
) -> None:
    for _ in range(2):  # a second run writes the table anew
        write: Any = WriteProbabilities(str(tmp_path / "new"), ["a", "b", "c"], several, thresholds)
        write({"file": "x, 1.png", "pred": torch.tensor([0.1, 0.9, 0.8])})
        write({"file": "y.png", "pred": torch.tensor([0.5, 0.2, 0.0])})
    with (tmp_path / "new" / "predictions.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["file", "present" if several else "class", "a", "b", "c"]
    assert [row[0] for row in rows[1:]] == ["x, 1.png", "y.png"]
    assert [row[1] for row in rows[1:]] == told
    assert rows[1][2:] == ["0.100000", "0.900000", "0.800000"]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    (tmp_path / ".hidden.png").touch()
    with pytest.raises(ValueError, match="holds no picture"):
        picture_items(str(tmp_path))


def test_a_task_of_one_class_needs_no_thresholds(tmp_path: Path) -> None:
    task = BrainMri(image_size=64)
    *_, written = picture_inference(task, model_of(tmp_path, task))["postprocessing"]["transforms"]
    assert (written["several"], written["thresholds"]) == (False, None)
