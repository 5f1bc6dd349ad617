"""What the tests share: a small federation of phantoms, and a machine that names no data of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fedmed.command_line import read_experiment
from fedmed.data.phantom import make_phantom
from fedmed.experiment import Experiment


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors are slower on many threads, and the machine may be shared."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_data_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "DATASET_ROOT",
        "DATALIST_ROOT",
        "CACHE_ROOT",
        "DUPLICATES_KEY",
        "PRIVACY_POLICY",
        "FEDMED_STATE",
        "FEDMED_RUN",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sites with two training cases each and two shared validation cases; the lists lie in ``datalist``."""
    out = tmp_path_factory.mktemp("phantom") / "set"
    make_phantom(out, out / "datalist", sites=2, cases=2, validation=2, size=(40, 36, 32))
    return out


@pytest.fixture
def small_experiment(phantom: Path) -> Callable[..., Experiment]:
    """Makes an experiment on the phantoms with small crops; takes further command-line arguments, which win."""

    def make(*arguments: str) -> Experiment:
        usual = ["--dataset_base_dir", str(phantom), "--datalist_json_path", str(phantom / "datalist")]
        usual += ["--n_clients", "2", "--num_rounds", "1", "--roi_size", "24", "24", "24"]
        return read_experiment([*usual, "--infer_roi_size", "40", "40", "32", *arguments])

    return make
