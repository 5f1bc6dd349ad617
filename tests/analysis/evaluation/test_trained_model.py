"""Opening what a run, FLARE or the published code left, and refusing what is none of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fedmed.analysis.evaluation.trained_model import model_file, open_model
from fedmed.core.errors import InputError
from fedmed.core.weights import save_weights
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.brats18 import Brats18

Make = Callable[..., Experiment]


@pytest.fixture
def run(small_experiment: Make, tmp_path: Path) -> RunFolder:
    """A failed run with a best model alone."""
    run = RunFolder.create(tmp_path / "runs", "run")
    run.write_experiment(small_experiment("--precision", "fp32"))
    run.write_status("failed", "power")
    save_weights(Brats18().build_model().state_dict(), run.path / "best_global_model.pt")
    return run


def test_a_runs_model_is_opened_with_the_runs_task_and_precision(run: RunFolder) -> None:
    for source in (run.path, run.path / "best_global_model.pt"):
        model = open_model(source)
        assert isinstance(model.task, Brats18)
        assert model.task.infer_roi_size == (40, 40, 32)
        assert model.precision == "fp32"
        assert not model.network.training


def test_a_sites_own_model_is_opened_with_the_runs_task_too(run: RunFolder) -> None:
    own = run.path / "sites" / "site-1" / "best_local_model.pt"
    own.parent.mkdir(parents=True)
    (run.path / "best_global_model.pt").rename(own)
    model = open_model(own)
    assert isinstance(model.task, Brats18)
    assert model.task.infer_roi_size == (40, 40, 32)
    assert model.precision == "fp32"


@pytest.mark.parametrize("content", ["flare", "plain"])
def test_checkpoints_of_others_are_opened(tmp_path: Path, content: str) -> None:
    """The published code's best_FL_global_model.pt is FLARE's: a "model" key beside what it was trained with."""
    weights = Brats18().build_model().state_dict()
    flare = {"model": weights, "train_conf": {"train": {"model": "SegResNet"}}, "meta_props": {"current_round": 3}}
    torch.save(flare if content == "flare" else weights, tmp_path / "best_FL_global_model.pt")
    opened = open_model(tmp_path / "best_FL_global_model.pt")
    assert opened.label == "best_FL_global_model"
    for name, values in opened.network.state_dict().items():
        torch.testing.assert_close(values, weights[name], rtol=0, atol=0)


def test_a_file_that_would_execute_code_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pt")
    with pytest.raises(InputError, match="no weights that open safely"):
        open_model(tmp_path / "whole.pt")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_weights(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    with pytest.raises(InputError, match="another network than BratsSegResNet"):
        open_model(tmp_path / "other.pt")


def test_a_network_of_another_size_is_refused_by_the_first_difference(tmp_path: Path) -> None:
    weights = Brats18().build_model().state_dict()
    name = sorted(weights)[0]
    weights[name] = torch.cat([weights[name], weights[name]])
    save_weights(weights, tmp_path / "larger.pt")
    with pytest.raises(InputError, match=rf"{name} is \(.*\) in the file"):
        open_model(tmp_path / "larger.pt")


def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path) -> None:
    weights = Brats18().build_model().state_dict()
    name = sorted(weights)[3]
    weights[name].view(-1)[0] = float("nan")
    save_weights(weights, tmp_path / "nan.pt")
    with pytest.raises(InputError, match=name):
        open_model(tmp_path / "nan.pt")


def test_opening_does_not_advance_anyones_chance(tmp_path: Path) -> None:
    save_weights(Brats18().build_model().state_dict(), tmp_path / "w.pt")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    open_model(tmp_path / "w.pt")
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_a_run_without_that_model_is_refused_with_its_status(run: RunFolder) -> None:
    with pytest.raises(InputError, match="run-001 is failed"):
        model_file(run, "last")
    assert model_file(run, "best") == run.path / "best_global_model.pt"


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no experiment\.json"):
        open_model(tmp_path)


def test_a_run_of_sites_alone_names_their_models(run: RunFolder) -> None:
    own = run.path / "sites" / "site-1" / "best_local_model.pt"
    own.parent.mkdir(parents=True)
    (run.path / "best_global_model.pt").rename(own)
    run.write_json("experiment", {**run.read_json("experiment"), "algorithm": {"name": "local"}})
    with pytest.raises(InputError, match=rf"made no global model.*{own.name}"):
        open_model(run.path)


def test_what_a_model_was_trained_on_is_known_from_its_run(run: RunFolder, tmp_path: Path) -> None:
    assert open_model(run.path).data == "set (synthetic phantoms)"
    run.write_json("model_meta", {"trained_on": "BraTS 2018"})
    assert open_model(run.path).data == "BraTS 2018"
    save_weights(Brats18().build_model().state_dict(), tmp_path / "alone.pt")
    assert open_model(tmp_path / "alone.pt").data == ""


PERSONAL = {"name": "partial", "share": "*", "private": "conv_final"}


def test_of_a_run_with_both_the_global_model_and_the_sites_own_each_is_found_by_its_name(run: RunFolder) -> None:
    run.write_json("experiment", {**run.read_json("experiment"), "algorithm": {"name": "ditto", "ditto_lambda": 1.0}})
    with pytest.raises(InputError, match="own names the sites' own models, and run-001 has none here; expected best"):
        model_file(run, "own")
    places = {"site-2": "best_local_model.pt", "site-1": "last_local_model.pt"}
    for site, name in [*places.items(), ("site-2", "last_local_model.pt")]:
        (run.path / "sites" / site).mkdir(parents=True, exist_ok=True)
        (run.path / "sites" / site / name).write_bytes((run.path / "best_global_model.pt").read_bytes())
    assert run.local_models("best") == run.local_models("last") == {}
    own = run.local_models("own")
    assert list(own) == ["site-1", "site-2"]
    assert {site: path.name for site, path in own.items()} == places  # the last where no best one was chosen
    assert model_file(run, "best") == run.path / "best_global_model.pt"
    with pytest.raises(InputError, match=r"has one at each of its sites; name the file of one, such as .*site-1"):
        open_model(run.path, "own")
    assert open_model(own["site-2"]).task.infer_roi_size == (40, 40, 32)  # as predict.py opens it
    run.write_json("experiment", {**run.read_json("experiment"), "algorithm": {"name": "fedavg"}})
    assert run.local_models("own") == {}


def test_of_a_run_with_private_layers_the_sites_models_are_scored_and_none_without_them(run: RunFolder) -> None:
    run.write_json("experiment", {**run.read_json("experiment"), "algorithm": PERSONAL})
    with pytest.raises(InputError, match="lacks what each site of run-001 has for itself"):
        open_model(run.path)
    own = run.path / "sites" / "site-1" / "best_local_model.pt"
    own.parent.mkdir(parents=True)
    own.write_bytes((run.path / "best_global_model.pt").read_bytes())
    assert run.local_models("best") == {"site-1": own}
    with pytest.raises(InputError, match=rf"each of its sites has its own.*{own.name}"):
        open_model(run.path)
    assert open_model(own).task.name == "brats18"
    assert open_model(run.path, str(run.path / "best_global_model.pt")).weights.name == "best_global_model.pt"
