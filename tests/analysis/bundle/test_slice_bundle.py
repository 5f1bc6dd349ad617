"""The bundle of a model of slices: MONAI runs it with the files in it alone, and finds what this project finds."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import monai.bundle
import numpy as np
import pytest
import torch
from PIL import Image

from fedmed.analysis.bundle.bundle_export import export_bundle
from fedmed.analysis.bundle.slice_bundle import slice_bundle
from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.analysis.prediction.new_scan import picture_patients
from fedmed.analysis.prediction.slice_prediction import marked
from fedmed.core.cli import run_script
from fedmed.core.errors import InputError
from fedmed.core.weights import save_weights
from fedmed.tasks.hippocampus import Hippocampus
from fedmed.tasks.lgg import Lgg
from result_stat import predict
from tests.analysis.bundle.test_bundle_export import DEMANDED, EXTRA
from tests.data.lgg.written_scans import write_scan

NAME = "TCGA_CS_1_1"


def model_of(folder: Path, **options: Any) -> TrainedModel:
    """A model with random weights that is sure of what it says, so that rounding does not decide on pixels."""
    task = Lgg(image_size=64, **options)
    torch.manual_seed(0)
    network = task.build_model().eval()
    head = network.get_submodule("head")
    with torch.no_grad():
        head.weight *= 100  # type: ignore[operator]
        head.bias -= network(torch.randn(4, 3, 64, 64)).median()  # type: ignore[operator]
    path = folder / "w.pt"
    save_weights(network.state_dict(), path)
    return TrainedModel("random", path, task, "fp32", network, torch.device("cpu"))


@pytest.fixture
def apply(tmp_path: Path) -> Callable[[Path, Path], Path]:
    """Runs a bundle by MONAI's command line, in its own folder, from which alone this project's files can come."""

    def run(bundle: Path, patients: Path) -> Path:
        out = tmp_path / "masks"
        arguments = ["run", "--config_file", "configs/inference.json", "--workflow_type", "inference"]
        arguments += ["--meta_file", "configs/metadata.json", "--dataset_dir", str(patients), "--output_dir", str(out)]
        command = [sys.executable, "-m", "monai.bundle", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(EXTRA)}
        done = subprocess.run(command, cwd=bundle, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "properties" not in done.stderr  # MONAI's warning where one that it requires is missing
        return out

    return run


@pytest.mark.parametrize("options", [{"network": "unet_16"}, {"network": "transunet", "norm": "group"}])
def test_monais_command_line_writes_the_same_masks(
    apply: Callable[[Path, Path], Path], tmp_path: Path, options: dict[str, Any]
) -> None:
    model, patients = model_of(tmp_path, **options), tmp_path / "patients"
    folders = [write_scan(patients, name, slices=4, seed=seed) for seed, name in enumerate((NAME, "TCGA_DU_2_1"))]
    export_bundle(model, tmp_path / "bundle")
    out = apply(tmp_path / "bundle", patients)
    for folder in folders:
        own = marked(model, picture_patients([folder])[0].read(), flips=False)
        assert 0.01 < own.tumour.mean() < 0.99
        written = [f"{path.stem}_mask{path.suffix}" for path in own.scan.files]
        assert sorted(path.name for path in (out / folder.name).iterdir()) == sorted(written)
        found = np.stack([np.asarray(Image.open(out / folder.name / name)) for name in written])
        close = np.abs(own.probabilities - 0.5) < 1e-3
        assert close.mean() < 0.02
        assert set(np.unique(found)) == {0, 255}
        np.testing.assert_array_equal(found[~close] > 0, own.tumour[~close])


def test_monai_accepts_metadata_network_and_weights(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    model = model_of(tmp_path, network="unet_16", norm="group")
    export_bundle(model, out)
    about, config = str(out / "configs" / "metadata.json"), str(out / "configs" / "inference.json")
    (tmp_path / "schema.json").write_text(json.dumps(DEMANDED))
    monai.bundle.verify_metadata(meta_file=about, filepath=str(tmp_path / "schema.json"))
    monai.bundle.verify_net_in_out(net_id="network_def", meta_file=about, config_file=config, device="cpu")
    network = monai.bundle.ConfigWorkflow(config, about, bundle_root=str(out)).parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(out / "models" / "model.pt", weights_only=True))
    metadata = json.loads(Path(about).read_text())
    inputs = metadata["network_data_format"]["inputs"]["image"]
    assert inputs["spatial_shape"] == [64, 64]
    assert list(inputs["channel_def"].values()) == ["pre-contrast", "FLAIR", "post-contrast"]
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"] == {"0": "tumour"}
    text = (out / "docs" / "README.md").read_text()
    assert "Research only" in text
    assert str(tmp_path) not in text


def test_only_what_is_needed_of_this_project_lies_in_a_bundle(tmp_path: Path) -> None:
    model = model_of(tmp_path, network="unet_16")
    assert isinstance(model.task, Lgg)
    names = {path.as_posix() for path in slice_bundle(model, model.task).sources}
    assert "fedmed/networks/four_level_unet.py" in names
    assert "fedmed/networks/transformer_unet.py" not in names
    assert not any("nvflare" in text for text in slice_bundle(model, model.task).sources.values())
    assert {name.split("/")[1] for name in names} == {"__init__.py", "core", "data", "networks"}


def test_a_bundle_is_exported_by_the_command_line(tmp_path: Path) -> None:
    task = Lgg()
    save_weights(task.build_model().state_dict(), tmp_path / "w.pt")
    given = ["--model", tmp_path / "w.pt", "--task", "lgg", "--export", "bundle", tmp_path / "bundle"]
    assert run_script(predict.main, list(map(str, given))) == 0
    assert sorted(path.name for path in (tmp_path / "bundle").iterdir()) == ["configs", "docs", "fedmed", "models"]


def test_other_tasks_and_networks_are_refused(tmp_path: Path) -> None:
    linear = torch.nn.Linear(2, 2)
    for task, said in (
        (Lgg(), "of its networks alone"),
        (Hippocampus(), "brats18, lgg, brain_mri or"),
    ):
        model = TrainedModel("a", tmp_path / "w.pt", task, "fp32", linear, torch.device("cpu"))
        with pytest.raises(InputError, match=said):
            export_bundle(model, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
