"""The script that tells the findings of new images, as a user starts it, with a model of the toy findings."""

import hashlib
import importlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image
from pydicom.data import get_testdata_file

import fedmed.tasks
from fedmed.analysis.evaluation.decision_thresholds import DecisionThresholds, thresholds_of
from fedmed.analysis.evaluation.trained_model import open_model
from fedmed.analysis.prediction.findings_report import mapped_findings
from fedmed.analysis.prediction.image_prediction import ImagePrediction
from fedmed.command_line import read_experiment
from fedmed.core.cli import run_script
from fedmed.core.names import BEST, LAST
from fedmed.core.weights import save_weights
from fedmed.runs.run_folder import RunFolder
from result_stat import predict
from tests.scripts import ROOT
from tests.test_predict_images import refused

FINDINGS = ("flat", "upright")
BIAS = (2.0, -1.0)
"""Logits of every image, as the network's other weights are 0: probabilities .881 and .269."""


def chosen(flat: float | None, upright: float | None) -> dict[str, dict[str, Any]]:
    """Thresholds as a run keeps them."""
    other = {"f1": 0.5, "positives": 3, "chosen_on": "6 validation cases"}
    return {"flat": {"threshold": flat, **other}, "upright": {"threshold": upright, **other}}


@pytest.fixture
def toy_findings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The task of ``tests/toy/findings`` is found by its name, as the package's own are."""
    monkeypatch.setattr(fedmed.tasks, "__path__", [*fedmed.tasks.__path__, str(ROOT / "tests" / "toy" / "findings")])
    importlib.invalidate_caches()
    yield
    sys.modules.pop("fedmed.tasks.toy_findings", None)
    vars(fedmed.tasks).pop("toy_findings", None)


@pytest.fixture
def run(toy_data: Path, toy_findings: None, tmp_path: Path) -> Path:
    """A run whose best model finds the same in every image; its last one has random weights."""
    run = RunFolder.create(tmp_path / "all runs", "run")
    given = ["--task", "toy_findings", "--dataset_base_dir", str(toy_data)]
    experiment = read_experiment([*given, "--datalist_json_path", str(toy_data / "datalist"), "--n_clients", "2"])
    run.write_experiment(experiment)
    run.write_status("finished")
    network = experiment.task.build_model()
    save_weights(network.state_dict(), run.path / LAST)
    with torch.no_grad():
        for values in network.parameters():
            values.zero_()
        network.get_submodule("layers.8").bias[:] = torch.tensor(BIAS)  # type: ignore[index]
    save_weights(network.state_dict(), run.path / BEST)
    return run.path


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """A picture in grey, a dark one, and a film in DICOM whose low values are bright."""
    folder = tmp_path / "neue Bilder"
    folder.mkdir()
    generator = np.random.default_rng(0)
    Image.fromarray(generator.integers(0, 256, (40, 32), dtype=np.uint8)).save(folder / "größe.png")
    Image.fromarray(generator.integers(0, 60, (20, 20), dtype=np.uint8)).save(folder / "dark.jpg")
    film = pydicom.dcmread(get_testdata_file("MR_small.dcm", download=False))
    film.PhotometricInterpretation = "MONOCHROME1"
    film.save_as(folder / "film.dcm")
    return [folder / name for name in ("größe.png", "dark.jpg", "film.dcm")]


def predicted(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert run_script(predict.main, list(map(str, arguments))) == 0
    return capsys.readouterr().out


def test_each_finding_has_a_probability_a_decision_and_a_place_in_the_picture(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "thresholds.json").write_text(json.dumps(chosen(0.9, 0.25)))
    report, folder = tmp_path / "r.json", tmp_path / "new" / "pictures"
    told = predicted(capsys, images[0], "--model", run, "--report", report, "--saliency", folder, *images[1:])
    found = json.loads(report.read_text())
    assert found["unit"] == "image"
    assert found["findings"] == list(FINDINGS)
    assert found["rule"].endswith("which gave most F1 on 6 validation cases.")
    assert found["rule"] in told
    assert found["thresholds"] == {"flat": 0.9, "upright": 0.25}
    assert found["weights_sha256"] == hashlib.sha256((run / BEST).read_bytes()).hexdigest()
    assert "no medical device" in found["notice"]
    assert "no medical device" in told
    assert [each["image"] for each in found["images"]] == list(map(str, images))
    for each, path in zip(found["images"], images, strict=True):
        assert each["probabilities"] == pytest.approx({"flat": 1 / (1 + np.exp(-2)), "upright": 1 / (1 + np.exp(1))})
        assert each["present"] == each["saliency_of"] == ["upright"]  # the less probable one, above its own threshold
        assert each["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert Image.open(io.BytesIO(Path(each["saliency"]).read_bytes())).width > 400
    assert sorted(os.listdir(folder)) == sorted(f"{path.name}.png" for path in images)
    rows = {row.split()[0]: row.split()[1:] for row in told.splitlines() if row.split()[:1] in (["flat"], ["upright"])}
    assert rows == {"flat": ["0.881", "0.900", "no"], "upright": ["0.269", "0.250", "yes"]}


def test_an_image_that_is_not_as_it_should_be_is_warned_of(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = predicted(capsys, "--model", run, "--report", tmp_path / "r.json", *images)
    found = json.loads((tmp_path / "r.json").read_text())
    sentence = f"{images[1]} seems to be dark."
    assert [each["warnings"] for each in found["images"]] == [[], [sentence], []]
    assert found["warnings"] == [sentence]
    assert told.count(f"warning: {sentence}") == 1


@pytest.mark.parametrize("many", [False, True])
def test_without_thresholds_nothing_is_decided_and_it_says_so(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], many: bool
) -> None:
    files = [shutil.copy(images[0], tmp_path / f"{n}.png") for n in range(5)] if many else images[:1]
    told = predicted(capsys, "--model", run, "--report", tmp_path / "r.json", "--saliency", tmp_path / "s", *files)
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["thresholds"] is None
    assert {each["present"] for each in found["images"]} == {None}
    assert {tuple(each["saliency_of"]) for each in found["images"]} == {("flat",)}  # the most probable one
    assert "No finding is decided on, as run-001 has no thresholds.json" in told
    rows = [row.split() for row in told.splitlines() if "0.881" in row]
    assert len(rows) == len(files)
    assert {row[-1] for row in rows} == {"-"}


def test_of_many_images_the_screen_has_a_row_each(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [shutil.copy(images[0], tmp_path / f"{n}.png") for n in range(5)]
    (run / "thresholds.json").write_text(json.dumps(chosen(0.5, 0.25)))
    told = predicted(capsys, "--model", run, *files)
    assert [" ".join(row.split()) for row in told.splitlines() if row.split()[:1] == ["3.png"]] == [
        "3.png flat 0.881 flat 0.881, upright 0.269"
    ]
    (run / "thresholds.json").write_text(json.dumps(chosen(0.95, None)))
    told = predicted(capsys, "--model", run, *files)
    assert "3.png flat 0.881 none" in " ".join(told.split())
    assert "Without a threshold, so never told: upright." in told


def test_the_finding_that_is_asked_for_is_shown(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--model", run, images[0], "--report", tmp_path / "r.json", "--saliency", tmp_path / "s", "--force"]
    for asked, shown in ((["UPRIGHT"], ["upright"]), (["upright", "flat", "upright"], ["upright", "flat"])):
        predicted(capsys, *given, *(word for name in asked for word in ("--finding", name)))
        assert json.loads((tmp_path / "r.json").read_text())["images"][0]["saliency_of"] == shown


def test_thresholds_are_those_of_the_runs_result_alone(
    run: Path, images: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "thresholds.json").write_text(json.dumps(chosen(0.5, 0.25)))
    assert thresholds_of(open_model(run)).values == (0.5, 0.25)
    assert thresholds_of(open_model(run / BEST)).values == (0.5, 0.25)
    assert thresholds_of(open_model(run, "last")).values == (None, None)
    told = predicted(capsys, "--model", run, "--which", "last", images[0])
    assert f"chosen for the run's result, which {LAST} is not" in told
    own = run / "sites" / "site-1" / "best_local_model.pt"
    own.parent.mkdir(parents=True)
    shutil.copy(run / BEST, own)
    assert thresholds_of(open_model(own)).values == (None, None)


def test_findings_above_their_thresholds_are_in_the_order_of_how_far_they_exceed_them() -> None:
    thresholds = DecisionThresholds((0.5, 0.01, None, 0.2, 0.0), Path("t"), "")
    probabilities = (0.6, 0.05, 0.99, 0.1, 0.0)
    assert thresholds.present(probabilities) == (4, 1, 0)
    assert thresholds.present((0.5, 0.0, 1.0, 0.1, 0.0)) == (4, 0)  # the threshold itself is enough
    found = ImagePrediction(Path("a"), "", probabilities)
    assert mapped_findings(found, thresholds, ()) == (4, 1, 0)
    assert mapped_findings(found, thresholds, (3,)) == (3,)
    nothing = DecisionThresholds((1.0,) * 5, Path("t"), "")
    assert mapped_findings(found, nothing, ()) == (2,)
    assert mapped_findings(found, nothing._replace(values=(None,) * 5), ()) == (2,)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[", "cannot be read"),
        ("[]", "does not state a threshold from 0 to 1"),
        (json.dumps({"flat": chosen(0.5, 0.5)["flat"]}), "of each of the findings flat, upright"),
        (json.dumps(chosen(1.5, 0.5)), "does not state a threshold from 0 to 1"),
    ],
)
def test_damaged_thresholds_are_refused(
    run: Path, images: list[Path], capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    (run / "thresholds.json").write_text(content)
    assert said in refused(capsys, "--model", run, images[0])


def test_mistakes_are_told_in_one_sentence_and_nothing_is_written(
    run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, one = tmp_path / "out", ["--model", run, images[0]]
    out.mkdir()
    for given, said in (
        (["--model", run], "No image is given"),
        ([*one, "--finding", "flat"], "--finding would do nothing without --saliency"),
        ([*one, "--finding", "uprigth", "--saliency", out / "s"], "did you mean upright?"),
        ([*one, "--finding", "xyz", "--saliency", out / "s"], "expected one of flat, upright"),
        ([*one, "--output", out / "seg.nii.gz"], "tells the findings of 2D images"),
        ([*one, tmp_path / "gone.png", "--report", out / "r.json"], "cannot be read"),
    ):
        assert said in refused(capsys, *given)
    assert os.listdir(out) == []


def test_a_model_of_one_class_an_image_knows_no_finding_to_show(
    toy_experiment: Callable[..., Any], images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, experiment = RunFolder.create(tmp_path / "others", "run"), toy_experiment()
    run.write_experiment(experiment)
    save_weights(experiment.task.build_model().state_dict(), run.path / BEST)
    given = ["--model", run.path, images[0], "--saliency", tmp_path / "s", "--finding", "flat"]
    assert "--finding would do nothing" in refused(capsys, *given)
