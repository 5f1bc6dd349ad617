"""The script that marks tumours in new patients' slices, as a user starts it."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fedmed.analysis.evaluation.trained_model import TrainedModel, open_model
from fedmed.analysis.prediction.new_scan import SeriesByChannel, picture_patients
from fedmed.analysis.prediction.slice_overlay import chosen, slice_overlay
from fedmed.analysis.prediction.slice_prediction import marked
from fedmed.command_line import read_experiment
from fedmed.core.cli import run_script
from fedmed.core.errors import InputError
from fedmed.core.names import BEST
from fedmed.core.weights import save_weights
from fedmed.data.datalist import Case
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import NativeGrid, SliceVolumes
from fedmed.tasks.lgg import Lgg
from result_stat import predict
from tests.data.lgg.written_scans import slice_mask, write_scan
from tests.data.written_series import head_series, write_series

NAME = "TCGA_CS_1_1"


class Bright(nn.Module):
    """Tumour where FLAIR is more than two standard deviations above its mean."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return 20 * (image[:, 1:2] - 2)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose best model has random weights, in a folder with a space in its name."""
    run = RunFolder.create(tmp_path / "all runs", "run")
    usual = ["--task", "lgg", "--dataset_base_dir", str(tmp_path), "--datalist_json_path", str(tmp_path)]
    experiment = read_experiment([*usual, "--n_clients", "2", "--network", "unet_16", "--image_size", "64"])
    run.write_experiment(experiment)
    run.write_status("finished")
    torch.manual_seed(0)
    save_weights(experiment.task.build_model().state_dict(), run.path / BEST)
    return run.path


@pytest.fixture
def bright() -> TrainedModel:
    """A model that knows the tumour by its brightness, at more pixels than a slice has."""
    return TrainedModel("bright", Path("w.pt"), Lgg(image_size=144), "fp32", Bright(), torch.device("cpu"))


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence with which the script refuses."""
    assert run_script(predict.main, list(map(str, arguments))) == 2
    told = capsys.readouterr().err.rpartition("\r")[2]  # behind signs of life, where it took seconds
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    return told


def with_tumour(folder: Path) -> Path:
    """A patient's slices with a bright square in FLAIR where their masks have one."""
    for path in folder.glob("*_mask.tif"):
        image = Path(str(path).replace("_mask", ""))
        pixels = np.asarray(Image.open(image)).copy()
        pixels[..., 1] = np.where(np.asarray(Image.open(path)) > 0, 255, pixels[..., 1] // 2)
        Image.fromarray(pixels).save(image)
    return folder


def test_the_task_is_of_slices_and_no_other_way() -> None:
    assert isinstance(Lgg(), SliceVolumes)
    assert not isinstance(Lgg(), NativeGrid)


def test_patients_get_masks_in_the_pixels_of_their_files_a_picture_and_a_report(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_scan(tmp_path / "new", NAME)
    other = tmp_path / "new" / "größe 2"
    other.mkdir()
    for path in write_scan(tmp_path / "new", "TCGA_DU_2_1").glob("*[0-9].tif"):
        Image.open(path).save(other / f"{path.stem}.png")
    out = tmp_path / "out" / "masks"
    assert run_script(predict.main, list(map(str, ["--model", run, one, other, "--output", out]))) == 0
    told = capsys.readouterr().out
    assert sorted(os.listdir(out)) == sorted([NAME, "größe 2", "report.json"])
    report = json.loads((out / "report.json").read_text())
    assert report["weights_sha256"] == hashlib.sha256((run / BEST).read_bytes()).hexdigest()
    assert "no medical device" in report["notice"]
    assert "64 x 64 pixels" in report["preprocessing"]
    model = open_model(run)
    for patient, folder in zip(report["patients"], (one, other), strict=True):
        expected = marked(model, picture_patients([folder])[0].read(), flips=False)
        assert patient["patient"] == folder.name
        assert patient["columns_rows_slices"] == [40, 48, 3]
        assert patient["tumour_ml"] is None
        assert patient["spacing_mm"] is None
        assert "tif and png files do not state" in patient["notes"][-1]
        assert Path(patient["overlay"]).read_bytes().startswith(b"\x89PNG")
        assert len(list((out / folder.name).iterdir())) == 3 + 1
        for place, each in enumerate(patient["slices"]):
            source, mask = Path(each["slice"]), Path(each["mask"])
            assert mask == out / folder.name / f"{source.stem}_mask{source.suffix}"
            picture = Image.open(mask)
            assert (picture.mode, picture.size) == ("L", (40, 48))
            np.testing.assert_array_equal(np.asarray(picture), 255 * expected.tumour[place])
            assert each["tumour_pixels"] == np.count_nonzero(expected.tumour[place])
            assert each["highest_probability"] == pytest.approx(expected.probabilities[place].max())
        assert patient["tumour_pixels"] == sum(each["tumour_pixels"] for each in patient["slices"])
        assert {each["sha256"] for each in patient["inputs"]["slices"]} == {
            hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if "_mask" not in path.name
        }
    assert NAME in told
    assert "no medical device" in told
    assert told.count("tif and png files do not state") == 1
    assert not list(one.glob("*.png"))


def test_a_tumour_is_found_where_it_is_in_the_files_own_pixels(bright: TrainedModel, tmp_path: Path) -> None:
    folder = with_tumour(write_scan(tmp_path, NAME))
    found = marked(bright, picture_patients([folder])[0].read(), flips=False)
    truth = np.stack([slice_mask(place > 0) for place in range(3)]) > 0
    assert 2 * np.count_nonzero(found.tumour & truth) / (found.tumour.sum() + truth.sum()) > 0.97
    assert (found.pixels[0], found.largest in (1, 2), found.ml) == (0, True, None)
    assert marked(bright, found.scan, flips=True).tumour.sum() == pytest.approx(found.tumour.sum(), rel=0.1)


def test_the_network_sees_a_folder_as_an_evaluation_does(tmp_path: Path) -> None:
    task, folder = Lgg(image_size=64), write_scan(tmp_path, NAME)
    scan = picture_patients([folder])[0].read()
    cases = [Case((path,), Path(str(path).replace(".tif", "_mask.tif")), {}) for path in scan.files]
    (item,) = task.eval_set(task.scored(cases), None, Caching())
    new = task.new_volume()({"image": torch.from_numpy(scan.pixels)})["image"]
    assert torch.equal(torch.as_tensor(new), torch.as_tensor(item["image"]))


def test_a_series_gets_one_mask_on_its_grid_and_a_volume_in_ml(bright: TrainedModel, tmp_path: Path) -> None:
    volume = head_series() // 2
    volume[1:3, 12:22, 14:24] = 2000
    scan = SeriesByChannel({"flair": write_series(tmp_path / "flair", volume)}).read()
    found = marked(bright, scan, flips=False)
    assert found.ml == pytest.approx(200 * 0.5 * 0.8 * 4 / 1000, rel=0.1)
    assert found.spacing == pytest.approx((0.8, 0.5, 4.0))


def test_the_masks_of_a_series_lie_where_its_slices_do(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flair = write_series(tmp_path / "flair", head_series(), PatientName="Doe^Jane")
    post = write_series(tmp_path / "post", head_series(seed=1), PatientName="Doe^Jane")
    out, report = tmp_path / "out", tmp_path / "r.json"
    given = ["--model", run, "--flair", flair, "--t1ce", post, "--output", out, "--report", report]
    assert run_script(predict.main, list(map(str, given))) == 0
    told = capsys.readouterr().out
    assert sorted(path.name for path in out.rglob("*")) == ["flair", "mask.nii.gz", "overlay.png"]
    mask = nib.load(out / "flair" / "mask.nii.gz")
    found = marked(open_model(run), SeriesByChannel({"flair": flair, "t1ce": post}).read(), flips=False)
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(mask.dataobj), found.tumour.transpose(2, 1, 0))
    np.testing.assert_allclose(mask.affine @ [3, 4, 2, 1], [10 - 3 * 0.8, 20 - 4 * 0.5, 30 + 2 * 4, 1], rtol=1e-6)
    np.testing.assert_allclose(mask.get_qform(), mask.affine, atol=1e-4)
    patient = json.loads(report.read_text())["patients"][0]
    assert patient["tumour_ml"] == pytest.approx(patient["tumour_pixels"] * 0.5 * 0.8 * 4 / 1000)
    assert patient["notes"] == ["There is no series for pre-contrast (--t1): FLAIR stands in its place."]
    assert f"{patient['tumour_ml']:.2f}" in told
    assert not any(b"Doe" in path.read_bytes() for path in (report, out / "flair" / "mask.nii.gz"))


def test_no_other_patient_changes_a_patients_mask(run: Path, tmp_path: Path) -> None:
    folders = [write_scan(tmp_path, f"TCGA_CS_{seed}_1", seed=seed) for seed in (1, 2)]
    for name, given in (("both", folders), ("one", folders[1:])):
        assert run_script(predict.main, list(map(str, ["--model", run, *given, "--output", tmp_path / name]))) == 0
    masks = [sorted((tmp_path / name / folders[1].name).glob("*_mask.tif")) for name in ("both", "one")]
    assert len(masks[0]) == 3
    assert [path.read_bytes() for path in masks[0]] == [path.read_bytes() for path in masks[1]]


def test_the_picture_is_drawn_without_a_tumour_and_with_slices_that_are_full_of_it(
    bright: TrainedModel, tmp_path: Path
) -> None:
    folder = write_scan(tmp_path, NAME, slices=1)
    found = marked(bright, picture_patients([folder])[0].read(), flips=False)
    assert not found.tumour.any()
    for level in (0.0, 1.0):
        found.probabilities[:] = level
        assert slice_overlay(found, "model").startswith(b"\x89PNG")


def test_the_montage_has_all_slices_or_an_even_choice_with_the_largest() -> None:
    assert chosen(3, 1) == [0, 1, 2]
    for largest in (0, 57, 99):
        places = chosen(100, largest)
        assert largest in places
        assert len(places) == 20
        assert places == sorted(places)


def test_what_is_there_is_kept_and_true_masks_are_never_replaced(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_scan(tmp_path / "set", NAME)
    truth = (folder / f"{NAME}_2_mask.tif").read_bytes()
    given = ["--model", run, folder, "--output"]
    assert run_script(predict.main, list(map(str, [*given, tmp_path / "out"]))) == 0
    capsys.readouterr()
    assert "exists already" in refused(capsys, *given, tmp_path / "out")
    assert run_script(predict.main, list(map(str, [*given, tmp_path / "out", "--force"]))) == 0
    capsys.readouterr()
    assert "true ones may lie" in refused(capsys, *given, tmp_path / "set", "--force")
    assert (folder / f"{NAME}_2_mask.tif").read_bytes() == truth


def test_mistakes_are_told_in_one_sentence_and_nothing_is_written(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, series = write_scan(tmp_path, NAME), write_series(tmp_path / "flair", head_series())
    bad = write_scan(tmp_path, "TCGA_HT_1_1")
    (bad / "TCGA_HT_1_1_2.tif").write_bytes(b"no picture")
    model, output = ["--model", run], ["--output", tmp_path / "out"]
    for given, said in (
        ([*model, folder], "--output is not given"),
        ([*model, *output], "neither slices nor DICOM series"),
        ([*model, *output, folder, "--flair", series], "both slices and DICOM series"),
        ([*model, *output, "--t1", series], "There is no --flair"),
        ([*model, *output, "--flair", tmp_path / "gone"], "gone does not exist"),
        ([*model, *output, folder, bad], "_2.tif cannot be read"),
        ([*model, *output, folder, "--t2", series], "--t2 would do nothing"),
        ([*model, *output, folder, "--overlay", "o.png"], "marks a tumour in slices"),
        ([*model, *output, folder, "--saliency", "s"], "--saliency would do nothing"),
        ([*model, *output, "--input", folder], "--input would do nothing"),
        ([*model, *output, folder, "--report", tmp_path / "r.txt"], "ends in .json"),
        ([*model, folder, "--output", bad / "TCGA_HT_1_1_1.tif"], "is a file"),
    ):
        assert said in refused(capsys, *given)
    assert not (tmp_path / "out").exists()


def test_a_model_of_another_task_marks_nothing(
    small_experiment: Callable[..., Experiment], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder.create(tmp_path / "others", "run")
    experiment = small_experiment()
    run.write_experiment(experiment)
    save_weights(experiment.task.build_model().state_dict(), run.path / BEST)
    folder = write_scan(tmp_path, NAME)
    assert "IMAGE would do nothing" in refused(capsys, "--model", run.path, folder, "--output", tmp_path / "out")
    with pytest.raises(InputError, match="marks nothing in slices"):
        marked(open_model(run.path), picture_patients([folder])[0].read(), flips=False)
