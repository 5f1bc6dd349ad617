"""The script that segments a new patient, as a user starts it."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from fedmed.core.cli import run_script
from fedmed.core.names import BEST
from fedmed.core.weights import save_weights
from fedmed.data.brats.brats_layout import find_cases
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from result_stat import predict
from tests import scripts

SCRIPT = Path(predict.__file__)


@pytest.fixture
def run(small_experiment: Callable[..., Experiment], tmp_path: Path) -> Path:
    """A run whose best model has random weights, in a folder with a space in its name."""
    run = RunFolder.create(tmp_path / "all runs", "run")
    experiment = small_experiment("--precision", "fp32")
    run.write_experiment(experiment)
    run.write_status("finished")
    torch.manual_seed(0)
    save_weights(experiment.task.build_model().state_dict(), run.path / BEST)
    return run.path


@pytest.fixture
def case(phantom: Path, tmp_path: Path) -> Path:
    """A new patient: a phantom's folder without its label, under another name."""
    found = find_cases(phantom)[0]
    folder = tmp_path / "new patient"
    folder.mkdir()
    for path in found.image:
        shutil.copy(path, folder)
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence with which the script refuses."""
    assert run_script(predict.main, list(map(str, arguments))) == 2
    told = capsys.readouterr().err.rpartition("\r")[2]  # behind signs of life, where it took seconds
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    return told


def test_a_patient_is_segmented_as_a_user_does_it(run: Path, case: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    names = {"output": "seg.nii.gz", "probabilities": "p.nii.gz", "report": "r.json", "overlay": "o.png"}
    given = [text for option, name in names.items() for text in (f"--{option}", str(out / name))]
    arguments = ["--model", run, "--input", case, "--label_scheme", "brats2023", *given]
    done = scripts.run(SCRIPT, *arguments, cwd=tmp_path)
    assert done.returncode == 0
    assert re.sub(r"the files are written, \d\d:\d\d|\s", "", done.stderr) == ""  # where that takes seconds
    assert sorted(os.listdir(out)) == sorted(names.values())
    scan, labels = nib.load(next(case.glob("*_t1ce.nii.gz"))), nib.load(out / "seg.nii.gz")
    assert (labels.shape, labels.get_data_dtype()) == (scan.shape, np.uint8)
    np.testing.assert_array_equal(labels.affine, scan.affine)
    core, whole, enhancing = np.moveaxis(np.asarray(nib.load(out / "p.nii.gz").dataobj), -1, 0) > 0.5
    found = np.asarray(labels.dataobj)
    np.testing.assert_array_equal(found == 3, enhancing)
    np.testing.assert_array_equal(np.isin(found, (1, 3)), core | enhancing)
    np.testing.assert_array_equal(found > 0, core | whole | enhancing)
    report = json.loads((out / "r.json").read_text())
    assert report["regions"]["WT"]["ml"] == pytest.approx(np.count_nonzero(found) / 1000)
    assert report["parts"]["enhancing"]["voxels"] == np.count_nonzero(found == 3)
    assert report["patient"] == "new patient"
    assert report["weights_sha256"] == hashlib.sha256((run / BEST).read_bytes()).hexdigest()
    assert report["outside"]["ET outside TC"] == np.count_nonzero(enhancing & ~core)
    assert f"{report['regions']['WT']['ml']:.2f}" in done.stdout
    assert "no medical device" in done.stdout
    assert (out / "o.png").read_bytes().startswith(b"\x89PNG")


def test_flare_which_is_imported_does_not_take_the_option_export_away(run: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--model", str(run), "--export", "onnx", "somewhere"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "error: --export onnx is not known; expected --export bundle DIR."


def test_files_may_have_any_name_and_what_is_there_is_kept(
    run: Path, case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[object] = ["--model", run / BEST, "--output", tmp_path / "seg.nii"]
    for n, modality in enumerate(("t1ce", "t1", "t2", "flair")):
        path = next(case.glob(f"*_{modality}.nii.gz")).rename(case / f"{n}.nii.gz")
        given += [f"--{modality}", path]
    assert run_script(predict.main, list(map(str, given))) == 0
    before = (tmp_path / "seg.nii").read_bytes()
    assert "exists already" in refused(capsys, *given)
    assert run_script(predict.main, [*map(str, given), "--force"]) == 0
    assert (tmp_path / "seg.nii").read_bytes() == before


def test_an_empty_region_is_said_to_be_empty(
    run: Path, case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network whose last bias is low finds nothing."""
    weights = torch.load(run / BEST, weights_only=True)["model"]
    last = [name for name in weights if name.endswith("bias") and weights[name].shape == (3,)][-1]
    weights[last] -= 1000
    save_weights(weights, run / BEST)
    picture = tmp_path / "o.png"
    given = ["--model", run, "--input", case, "--output", tmp_path / "seg.nii.gz", "--overlay", picture]
    assert run_script(predict.main, list(map(str, given))) == 0
    told = capsys.readouterr().out
    assert told.count("empty\n") == 6
    assert "0.00  empty" in told
    assert picture.is_file()


def test_mistakes_are_told_in_one_sentence_and_nothing_is_written(
    run: Path, case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    model, patient, output = ["--model", run], ["--input", case], ["--output", out / "seg.nii.gz"]
    other = tmp_path / "other.pt"
    save_weights(torch.nn.Linear(2, 2).state_dict(), other)
    flair = next(case.glob("*_flair.nii.gz"))
    for given, said in (
        ([*model, *patient], "--output is not given"),
        ([*patient, *output], "--model"),
        ([*model, *output], "neither --input nor"),
        ([*model, *patient, *output, "--t1", flair], "both --input and"),
        ([*model, *output, "--t1", flair], "There is no --t1ce and --t2 and --flair"),
        ([*model, *patient, *output, "--which", "last"], "last_global_model.pt is not there"),
        (["--model", run / BEST, *patient, *output, "--which", "best"], "--which best chooses a model of a run"),
        (["--model", tmp_path, *patient, *output], "no experiment.json"),
        (["--model", other, *patient, *output], "another network"),
        ([*model, *patient, "--output", out / "seg.png"], "ends in .nii.gz or .nii"),
        ([*model, *patient, "--output", flair, "--force"], "one of the files that are read"),
        ([*model, *patient, *output, "--report", tmp_path / "none" / "r.json"], "does not exist"),
        ([*model, *patient, *output, "--overlay", out / "o.gif"], ".png or .svg or .pdf"),
        ([*model, *patient, "--export", "bundle", out / "b"], "--input would do nothing"),
        ([*model, "--flips", "--export", "bundle", out / "b"], "--flips would do nothing"),
    ):
        assert said in refused(capsys, *given)
    nib.save(nib.Nifti1Image(np.asarray(nib.load(flair).dataobj)[1:], np.eye(4)), flair)
    assert "grid" in refused(capsys, *model, *patient, *output)
    flair.unlink()
    assert "lacks flair" in refused(capsys, *model, *patient, *output)
    assert os.listdir(out) == []
