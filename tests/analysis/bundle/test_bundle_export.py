"""The bundle: MONAI takes it as its own, and finds with it what this project finds."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import monai.bundle
import monai.transforms as mt
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from monai.networks.nets import SegResNet
from monai.utils import convert_to_tensor

from fedmed.analysis.bundle.bundle_export import export_bundle
from fedmed.analysis.bundle.bundle_metadata import RUNNERS
from fedmed.analysis.evaluation.trained_model import TrainedModel, open_model
from fedmed.core.errors import InputError
from fedmed.core.weights import save_weights
from fedmed.data.datalist import Case, load_datalist
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.brats18 import Brats18

EXTRA = Path(sys.prefix) / "bundle"
"""Where requirements-bundle.txt is installed."""

Make = Callable[..., Experiment]

DATA = "set (synthetic phantoms)"
"""The data of the run, as an evaluation states them."""

TEXTS = ("schema", "version", "monai_version", "pytorch_version", "numpy_version", "task", "description", "authors")
TENSOR = {"type": "object", "required": ["type", "format", "num_channels", "spatial_shape", "dtype", "value_range"]}
DEMANDED = {
    "required": [*TEXTS, "copyright", "required_packages_version", "network_data_format"],
    "properties": {
        **{name: {"type": "string"} for name in (*TEXTS, "copyright", "intended_use", "data_source")},
        **{name: {"type": "object"} for name in ("changelog", "required_packages_version", "eval_metrics")},
        "network_data_format": {
            "required": ["inputs", "outputs"],
            "additionalProperties": {"type": "object", "additionalProperties": TENSOR},
        },
    },
}
"""What MONAI's schema of 2024-07-25 asks of metadata.json; the file itself lies on the network."""


@pytest.fixture
def run(small_experiment: Make, tmp_path: Path) -> Callable[..., RunFolder]:
    """A run whose network is random but sure of what it says, so that rounding does not decide on voxels."""

    def make(*arguments: str) -> RunFolder:
        run = RunFolder.create(tmp_path / "runs", "run")
        run.write_experiment(small_experiment("--precision", "fp32", *arguments))
        torch.manual_seed(0)
        weights = Brats18().build_model().state_dict()
        weights["conv_final.2.conv.weight"] *= 100
        save_weights(weights, run.path / "best_global_model.pt")
        return run

    return make


@pytest.fixture
def case(phantom: Path) -> Case:
    return load_datalist(phantom / "datalist" / "site-1.json", phantom).validation[0]


def exported(run: RunFolder, out: Path) -> tuple[TrainedModel, dict[str, Any]]:
    model = open_model(run.path)
    export_bundle(model, out)
    return model, json.loads((out / "configs" / "metadata.json").read_text())


def masks(folder: Path, case: Case) -> torch.Tensor:
    """What the bundle wrote of a case, (3, X, Y, Z), oriented RAS; it lies on the grid of the case's files."""
    written, source = nib.load(folder / f"{case.name}_regions.nii.gz"), nib.load(case.images[0])
    np.testing.assert_allclose(written.affine, source.affine)
    assert written.shape == (*source.shape, 3)
    assert written.get_data_dtype() == np.uint8
    return torch.from_numpy(np.moveaxis(nib.as_closest_canonical(written).get_fdata(), -1, 0)) > 0


def probabilities(model: TrainedModel, case: Case) -> torch.Tensor:
    """This project's own, (3, X, Y, Z), on the grid of its evaluation set."""
    item = model.task.eval_set([case], None, Caching())[0]
    image = convert_to_tensor(item["image"], track_meta=False, device=model.device)
    assert isinstance(model.task, Brats18)
    with model.inference():
        return model.task.probabilities(model.network, image[None])[0].cpu()


def assert_same(found: torch.Tensor, own: torch.Tensor) -> None:
    """Equal masks, but where rounding decides, because a probability meets the threshold to three digits."""
    close = (own - 0.5).abs() < 1e-3
    assert found.shape == own.shape
    assert close.float().mean() < 0.01
    assert 0.01 < found.float().mean() < 0.99
    assert torch.equal(found[~close], (own > 0.5)[~close])


COMMAND_LINES = """
import json, os, runpy, sys
sys.path.append(sys.argv[1])
import monai.bundle, monai.engines, monai.inferers, monai.networks.nets, monai.transforms
for line in sys.stdin:
    folder, errors, arguments = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(folder)
        for shown, number in ((os.devnull, 1), (errors, 2)):
            os.dup2(os.open(shown, os.O_WRONLY | os.O_CREAT), number)
        sys.argv = ["monai.bundle", *arguments]
        runpy.run_module("monai.bundle", run_name="__main__")
        sys.exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


Apply = Callable[[Path, Path, Path], None]


@pytest.fixture(scope="module")
def apply(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apply]:
    """Runs a bundle by MONAI's own command line, on a folder of data, in a process that cannot import this project.

    It is forked from one that has imported MONAI, which takes longer than a bundle.
    """
    errors = tmp_path_factory.mktemp("shown") / "errors"
    command = [sys.executable, "-I", "-c", COMMAND_LINES, str(EXTRA)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None

    def run(bundle: Path, folder: Path, out: Path) -> None:
        errors.write_text("")
        arguments = ["run", "--config_file", "configs/inference.json", "--workflow_type", "inference"]
        arguments += ["--meta_file", "configs/metadata.json", "--dataset_dir", str(folder), "--output_dir", str(out)]
        print(json.dumps([str(bundle), str(errors), arguments]), file=process.stdin, flush=True)
        assert process.stdout.readline() == "0\n", errors.read_text()  # type: ignore[union-attr]
        assert "properties" not in errors.read_text()  # MONAI's warning where one that it requires is missing

    yield run
    process.stdin.close()
    assert process.wait(timeout=60) == 0


def test_monais_command_line_finds_the_same_masks(
    run: Callable[..., RunFolder], apply: Apply, case: Case, tmp_path: Path
) -> None:
    bundle, out = tmp_path / "bundle", tmp_path / "masks"
    model, _ = exported(run(), bundle)
    apply(bundle, case.images[0].parent, out)
    assert [path.name for path in out.iterdir()] == [f"{case.name}_regions.nii.gz"]
    assert_same(masks(out, case), probabilities(model, case))


def test_the_brains_box_and_small_windows_are_as_here(
    run: Callable[..., RunFolder], apply: Apply, case: Case, tmp_path: Path
) -> None:
    model, _ = exported(run("--crop_to_brain", "--infer_roi_size", "24", "24", "24"), tmp_path / "bundle")
    apply(tmp_path / "bundle", case.images[0].parent, tmp_path)
    images = np.stack([nib.as_closest_canonical(nib.load(path)).get_fdata() for path in case.images])
    _, *inside = np.nonzero(images)
    box = (slice(None), *(slice(axis.min(), axis.max() + 1) for axis in inside))
    found = masks(tmp_path, case)
    assert_same(found[box], probabilities(model, case))
    found[box] = False
    assert not found.any()


def test_the_published_arithmetic_is_as_here(
    run: Callable[..., RunFolder], apply: Apply, case: Case, tmp_path: Path
) -> None:
    """A window larger than the volume is what tells padding from fitting."""
    published = ("--windows", "padded", "--normalize", "crop", "--infer_roi_size", "72", "64", "40")
    model, _ = exported(run(*published), tmp_path / "bundle")
    apply(tmp_path / "bundle", case.images[0].parent, tmp_path)
    found = masks(tmp_path, case)
    assert_same(found, mt.CenterSpatialCrop(found.shape[1:])(probabilities(model, case)))


def test_masks_lie_on_the_grid_of_the_files(
    run: Callable[..., RunFolder], apply: Apply, case: Case, tmp_path: Path
) -> None:
    """Of slices 1.5 mm apart, of later years' names; a mask's volume is that of the mask at 1 mm."""
    folder = tmp_path / "thick"
    folder.mkdir()
    paths = [folder / f"thick-{part}.nii" for part in ("t1c", "t1n", "t2w", "t2f", "seg")]
    for path, source in zip(paths, map(nib.load, (*case.images, case.target)), strict=True):
        nib.save(nib.Nifti1Image(np.asarray(source.dataobj), source.affine @ np.diag([1, 1, 1.5, 1])), path)
    model, _ = exported(run(), tmp_path / "bundle")
    config = tmp_path / "bundle" / "configs" / "inference.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "suffixes": ["-t1c", "-t1n", "-t2w", "-t2f"]}))
    apply(tmp_path / "bundle", folder, tmp_path)
    thick = Case(tuple(paths[:4]), paths[4], {})
    found, own = masks(tmp_path, thick), probabilities(model, thick) > 0.5
    assert (1.5 * found.sum(dim=(1, 2, 3))).tolist() == pytest.approx(own.sum(dim=(1, 2, 3)).tolist(), rel=0.1)


def test_monai_accepts_metadata_network_and_weights(run: Callable[..., RunFolder], tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    _, metadata = exported(run(), out)
    about, config = str(out / "configs" / "metadata.json"), str(out / "configs" / "inference.json")
    (tmp_path / "schema.json").write_text(json.dumps(DEMANDED))
    monai.bundle.verify_metadata(meta_file=about, filepath=str(tmp_path / "schema.json"))
    monai.bundle.verify_net_in_out(net_id="network_def", meta_file=about, config_file=config, device="cpu")
    network = monai.bundle.ConfigWorkflow(config, about, bundle_root=str(out)).parser.get_parsed_content("network_def")
    assert type(network) is SegResNet
    network.load_state_dict(torch.load(out / "models" / "model.pt", weights_only=True))
    assert metadata["network_data_format"]["inputs"]["image"]["channel_def"]["0"] == "t1ce"
    assert list(metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values()) == ["TC", "WT", "ET"]
    found = {each.metadata["Name"]: each.version for each in distributions(path=[*sys.path, str(EXTRA)])}
    assert {name: found[name] for name in RUNNERS} == RUNNERS


def test_nothing_is_told_that_is_not_known(run: Callable[..., RunFolder], phantom: Path, tmp_path: Path) -> None:
    folder = run()
    _, metadata = exported(folder, tmp_path / "of a run")
    assert "eval_metrics" not in metadata
    assert "fedavg over 2 sites" in metadata["description"]
    assert metadata["data_source"] == f"{phantom.name} (synthetic phantoms)"
    alone = tmp_path / "alone.pt"
    alone.write_bytes((folder.path / "best_global_model.pt").read_bytes())
    export_bundle(open_model(alone), tmp_path / "of a file")
    texts = [path.read_text() for path in tmp_path.glob("of a */*/*") if path.suffix != ".pt"]
    assert len(texts) == 6
    assert all("medical device" in text for text in texts if "lambda" not in text)
    assert not any(str(place) in text for text in texts for place in (tmp_path, phantom))
    assert "not known" in (tmp_path / "of a file" / "docs" / "README.md").read_text()


def evaluation(run: RunFolder, name: str, **about: Any) -> Path:
    """The least that an evaluation leaves, in the columns of earlier versions."""
    folder = run.path / "evaluation" / name
    folder.mkdir(parents=True)
    digest = hashlib.sha256((run.path / "best_global_model.pt").read_bytes()).hexdigest()
    document = {"weights_sha256": digest, "flips": False, "data": DATA, "split": "test", "cases": ["a", "b"]}
    document |= {"run": run.name, "model": "best", "patients": {}, "truth_sha256": {}, **about}
    (folder / "evaluation.json").write_text(json.dumps(document))
    rows = [("pooled", "TC", "dice", 0.75), ("pooled", "ET", "dice", None), ("site-1", "TC", "dice", 0.5)]
    table = pd.DataFrame(rows, columns=["site", "region", "metric", "mean"])
    numbers = dict.fromkeys(("cases", "patients", "median", "std", "low", "high"), 1.0)
    table.assign(**numbers).to_csv(folder / "table.csv", index=False)
    return folder


def test_scores_are_those_of_these_weights_without_flips(run: Callable[..., RunFolder], tmp_path: Path) -> None:
    folder = run()
    evaluation(folder, "best-test")
    evaluation(folder, "last-test", weights_sha256="0", split="other")
    evaluation(folder, "best-validation", flips=True, split="validation")
    evaluation(folder, "best-elsewhere", data="another hospital's", split="elsewhere")
    _, metadata = exported(folder, tmp_path / "bundle")
    assert metadata["eval_metrics"] == {"test_cases": 2, "test_dice_tc": 0.75}
    assert "| test_dice_tc | 0.75 |" in (tmp_path / "bundle" / "docs" / "README.md").read_text()


def test_a_broken_evaluation_is_named_and_nothing_is_left(run: Callable[..., RunFolder], tmp_path: Path) -> None:
    folder = run()
    (evaluation(folder, "best-test") / "table.csv").write_text("")
    with pytest.raises(InputError, match=r"table\.csv cannot be read"):
        exported(folder, tmp_path / "out" / "bundle")
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_kept_unless_it_is_a_bundle_to_be_replaced(
    run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    model, _ = exported(run(), tmp_path / "bundle")
    (tmp_path / "bundle" / "old").touch()
    with pytest.raises(InputError, match="use --force"):
        export_bundle(model, tmp_path / "bundle")
    export_bundle(model, tmp_path / "bundle", force=True)
    assert sorted(path.name for path in (tmp_path / "bundle").iterdir()) == ["configs", "docs", "models"]
    (tmp_path / "mine").mkdir()
    for place in (tmp_path / "mine", model.weights):
        with pytest.raises(InputError, match="no bundle"):
            export_bundle(model, place, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "mine", "runs"]


def test_no_bundle_is_made_of_a_model_that_sites_attacked(run: Callable[..., RunFolder], tmp_path: Path) -> None:
    attacked = run("--attack", "scaled", "--attackers", "site-2")
    with pytest.raises(InputError, match=r"under attack \(scaled .*no bundle is made of it"):
        export_bundle(open_model(attacked.path), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_network_that_monai_cannot_build_is_refused(run: Callable[..., RunFolder], tmp_path: Path) -> None:
    model = dataclasses.replace(open_model(run().path), network=torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match="SegResNet alone"):
        export_bundle(model, tmp_path / "bundle")
