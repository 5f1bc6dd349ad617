"""The exported job, which is all that a remote site gets."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import job
from fedmed.experiment import Experiment
from model import BratsSegResNet

IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path[:] = [sys.argv[1]] + [p for p in sys.path if p not in ("", sys.argv[2])]
import fedmed, model
names = [m.name for m in pkgutil.walk_packages(fedmed.__path__, "fedmed.")]
for name in names:
    module = importlib.import_module(name)
    assert module.__file__.startswith(sys.argv[1]), module.__file__
assert model.__file__.startswith(sys.argv[1])
print(len(names))
"""


@pytest.fixture
def exported(small_experiment: Callable[..., Experiment], tmp_path: Path) -> Path:
    experiment = small_experiment("--enable_dp", "--seed", "7", "--job_name", "exported")
    return job.export_job(experiment, tmp_path)


def custom(exported: Path) -> Path:
    return exported / "app" / "custom"


def test_it_imports_whole_in_another_place(exported: Path) -> None:
    root = Path(job.__file__).parent
    arguments = [sys.executable, "-I", "-c", IMPORT_ALL, str(custom(exported)), str(root)]
    done = subprocess.run(arguments, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    everything = list((root / "src" / "fedmed").rglob("*.py"))
    assert int(done.stdout) == len(everything) - 1  # all but the package's own __init__


def test_it_carries_no_path_of_this_machine(exported: Path, phantom: Path) -> None:
    texts = [path.read_text(errors="ignore") for path in exported.rglob("*.json")]
    assert not any(str(phantom) in text or str(Path.home()) in text for text in texts)


def test_it_starts_from_weights_of_the_seed(exported: Path) -> None:
    weights = torch.load(custom(exported) / "init.pt", weights_only=True)["model"]
    torch.manual_seed(7)
    expected = BratsSegResNet().state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_the_server_builds_the_model_by_name_and_arguments(exported: Path) -> None:
    server = json.loads((exported / "app" / "config" / "config_fed_server.json").read_text())
    persistor = next(c for c in server["components"] if c["id"] == "persistor")
    assert persistor["args"]["model"]["path"] == "model.BratsSegResNet"
    assert persistor["args"]["model"]["args"] == json.loads(json.dumps(BratsSegResNet().arguments))


def test_updates_travel_as_differences(exported: Path) -> None:
    text = (exported / "app" / "config" / "config_fed_client.json").read_text()
    assert '"DIFF"' in text


BAD = {
    "no dataset folder": (["--dataset_base_dir", "/nowhere/at all"], "/nowhere/at all does not exist"),
    "site without a list": (["--n_clients", "3"], "site-3"),
    "crop not divisible": (["--roi_size", "30", "32", "32"], "divisible by 8"),
    "crop too large": (["--roi_size", "512", "512", "512"], "larger than every volume"),
    "no clients": (["--n_clients", "0"], "--n_clients is 0"),
    "no rounds": (["--num_rounds", "0"], "--num_rounds is 0"),
    "learning rate": (["--learning_rate", "nan"], "--learning_rate is nan"),
    "cache share": (["--cache_dataset", "1.5"], "--cache_dataset is 1.5"),
    "fraction": (["--enable_dp", "--dp_fraction", "1.2"], "--dp_fraction is 1.2"),
    "threads": (["--threads", "1"], "--allow_restart"),
    "gpu": (["--gpu", "first"], "--gpu is 'first'"),
    "job name": (["--job_name", "../up"], "--job_name is ../up"),
    "unknown option": (["--n_client", "2"], "--n_client"),
}


@pytest.mark.parametrize(("arguments", "words"), BAD.values(), ids=BAD)
def test_bad_input_ends_with_one_sentence_and_code_2(
    arguments: list[str], words: str, phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = ["--n_clients", "2", "--num_rounds", "1", "--artifacts", str(tmp_path / "artifacts")]
    usual += ["--dataset_base_dir", str(phantom), "--datalist_json_path", str(phantom / "datalist")]
    assert job.main([*usual, *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "artifacts").exists()  # nothing was started
