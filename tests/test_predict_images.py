"""The script that classifies new images, as a user starts it, with a model of the toy task."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydicom.data import get_testdata_file

from fedmed.analysis.evaluation.trained_model import open_model
from fedmed.analysis.prediction.image_prediction import classified
from fedmed.analysis.prediction.saliency import SaliencyMaps, saliency_picture
from fedmed.core.cli import run_script
from fedmed.core.errors import InputError
from fedmed.core.names import BEST
from fedmed.core.weights import save_weights
from fedmed.data.datalist import load_datalist
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import ImageClassifier
from result_stat import predict

CLASSES = ("flat", "upright")


@pytest.fixture
def run(toy_experiment: Callable[..., Experiment], tmp_path: Path) -> Path:
    """A run whose best model has random weights, in a folder with a space in its name."""
    run = RunFolder.create(tmp_path / "all runs", "run")
    experiment = toy_experiment()
    run.write_experiment(experiment)
    run.write_status("finished")
    torch.manual_seed(0)
    save_weights(experiment.task.build_model().state_dict(), run.path / BEST)
    return run.path


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """A picture in grey, one in colour, and a slice in DICOM; two have names that are no ASCII."""
    folder = tmp_path / "neue Bilder"
    folder.mkdir()
    generator = np.random.default_rng(0)
    Image.fromarray(generator.integers(0, 256, (40, 32), dtype=np.uint8)).save(folder / "größe.png")
    Image.fromarray(generator.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / "colour.jpg")
    shutil.copy(str(get_testdata_file("MR_small.dcm", download=False)), folder / "Schädel")
    return [folder / name for name in ("größe.png", "colour.jpg", "Schädel")]


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence with which the script refuses."""
    assert run_script(predict.main, list(map(str, arguments))) == 2
    told = capsys.readouterr().err.rpartition("\r")[2]  # behind signs of life, where it took seconds
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    return told


def test_images_are_classified_with_a_report_and_a_picture_each(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, folder = tmp_path / "r.json", tmp_path / "new" / "pictures"
    given = [images[0], "--model", run, "--report", report, "--saliency", folder, *images[1:]]
    assert run_script(predict.main, list(map(str, given))) == 0
    told = capsys.readouterr().out
    found = json.loads(report.read_text())
    assert found["unit"] == "image"
    assert found["classes"] == list(CLASSES)
    assert found["weights_sha256"] == hashlib.sha256((run / BEST).read_bytes()).hexdigest()
    assert "no medical device" in found["notice"]
    assert "no medical device" in told
    assert [each["image"] for each in found["images"]] == list(map(str, images))
    for each, path in zip(found["images"], images, strict=True):
        assert sum(each["probabilities"].values()) == pytest.approx(1)
        assert each["predicted"] == max(each["probabilities"], key=each["probabilities"].get)
        assert each["confidence"] == each["probabilities"][each["predicted"]]
        assert each["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert f"{each['confidence']:.3f}" in told
        assert Path(each["saliency"]).read_bytes().startswith(b"\x89PNG")
    assert sorted(os.listdir(folder)) == sorted(f"{path.name}.png" for path in images)


def test_a_file_is_seen_as_an_evaluation_sees_it(toy_experiment: Callable[..., Experiment]) -> None:
    experiment = toy_experiment()
    dataset, lists = experiment.data.resolved()
    cases = load_datalist(lists / "site-1.json", dataset).validation
    assert isinstance(experiment.task, ImageClassifier)
    for item, case in zip(experiment.task.eval_set(cases, None, Caching()), cases, strict=True):
        torch.testing.assert_close(experiment.task.new_image(case.images[0]), torch.as_tensor(item["image"]))


def test_no_other_image_changes_an_images_probabilities(run: Path, images: list[Path]) -> None:
    model = open_model(run)
    together = [classified(model, path).probabilities for path in images]
    assert [classified(open_model(run), path).probabilities for path in reversed(images)] == together[::-1]


def test_what_speaks_for_a_class_is_found_where_it_is(run: Path) -> None:
    """A network whose one feature is brightness, which speaks for the second class and against the first."""
    model = open_model(run)
    first, second, last = (model.network.get_submodule(f"layers.{place}") for place in (0, 4, 8))
    with torch.no_grad():
        for values in model.network.parameters():
            values.zero_()
        first.weight[0, 0, 1, 1] = second.weight[0, 0, 1, 1] = 1  # type: ignore[index]
        last.weight[:, 0] = torch.tensor([-1.0, 1.0])  # type: ignore[index]
    image = torch.zeros(1, 32, 32)
    image[:, 20:28, 4:12] = 1
    maps = SaliencyMaps(model)
    heat = maps.of(image, 1)
    assert heat.shape == (32, 32)
    assert (heat.min(), heat.max()) == (0, 1)
    assert heat[20:28, 4:12].mean() > 0.7
    assert heat[:16, 16:].max() == 0
    against = maps.of(image, 0)
    assert not against.any()
    seen = np.ones((32, 32), np.uint8)
    assert saliency_picture(seen, image.numpy(), against, "nothing").startswith(b"\x89PNG")
    assert not any(values.grad is not None for values in model.network.parameters())  # a copy was watched


def test_mistakes_are_told_in_one_sentence_and_nothing_is_written(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    model, report = ["--model", run], ["--report", out / "r.json"]
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "text.jpg").write_text("no image")
    (bad / "empty.png").touch()
    (bad / "cut.jpg").write_bytes(images[1].read_bytes()[:-100])
    Image.new("L", (1, 40)).save(bad / "thin.png")
    Image.new("L", (40, 40), 7).save(bad / "flat.png")
    frames = [Image.new("L", (40, 40), grey) for grey in (1, 2)]
    frames[0].save(bad / "moving.png", save_all=True, append_images=frames[1:])
    (bad / "größe.png").write_bytes(images[0].read_bytes())
    several = get_testdata_file("rtdose_rle.dcm", download=False)
    for given, said in (
        ([*model], "No image is given"),
        ([*model, bad], "is a folder"),
        ([*model, images[0], bad / "text.jpg"], "of another format"),
        ([*model, bad / "empty.png"], "0 bytes"),
        ([*model, bad / "cut.jpg"], "cut.jpg cannot be read"),
        ([*model, bad / "thin.png"], "1 x 40 pixels"),
        ([*model, bad / "flat.png"], "one grey level"),
        ([*model, bad / "moving.png"], "2 pages"),
        ([*model, several], "15 frames"),
        ([*model, bad / "gone.png"], "cannot be read"),
        ([*model, images[0], "--report", out / "r.txt"], "ends in .json"),
        ([*model, images[0], "--report", out / "none" / "r.json"], "does not exist"),
        ([*model, images[0], bad / "größe.png", "--saliency", out / "s"], "2 images are called größe.png"),
        ([*model, images[0], "--saliency", images[1]], "is a file"),
        ([*model, images[0], "--flips"], "--flips would do nothing"),
        ([*model, images[0], "--output", out / "seg.nii.gz"], "classifies 2D images"),
        ([*model, "--input", bad, *report], "--input would do nothing"),
        ([*model, images[0], "--task", "toy_task"], "a run states its own"),
        ([*model, images[0], "--export", "bundle", out / "b"], "IMAGE would do nothing"),
    ):
        assert said in refused(capsys, *given)
    assert os.listdir(out) == []


def test_what_is_there_is_kept_unless_it_is_forced(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--model", run, images[0], "--saliency", tmp_path, "--report", tmp_path / "r.json"]
    assert run_script(predict.main, list(map(str, given))) == 0
    assert "exists already" in refused(capsys, *given)
    assert "exists already" in refused(capsys, *given[:-2])
    assert run_script(predict.main, [*map(str, given), "--force"]) == 0


def test_a_file_of_weights_is_of_the_task_that_is_named(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(run / BEST, tmp_path / "w.pt")
    assert run_script(predict.main, ["--model", str(tmp_path / "w.pt"), "--task", "toy_task", str(images[0])]) == 0
    assert "another network" in refused(capsys, "--model", tmp_path / "w.pt", images[0])


def test_a_model_that_classifies_nothing_takes_no_images(
    small_experiment: Callable[..., Experiment], images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder.create(tmp_path / "others", "run")
    experiment = small_experiment()
    run.write_experiment(experiment)
    run.write_status("finished")
    save_weights(experiment.task.build_model().state_dict(), run.path / BEST)
    assert "IMAGE would do nothing" in refused(capsys, "--model", run.path, images[0])
    with pytest.raises(InputError, match="classifies no images"):
        classified(open_model(run.path), images[0])
