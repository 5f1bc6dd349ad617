"""Fixtures of all tests: small federations of phantoms and of the toy task, on a machine that names no data."""

import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import fedmed.algorithms
import fedmed.tasks
from fedmed.algorithms.base import Algorithm
from fedmed.analysis.evaluation.evaluation_folder import LONG_COLUMNS, EvaluationFolder
from fedmed.command_line import read_experiment
from fedmed.core import registry
from fedmed.data.phantoms.phantom import make_phantom
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import Task
from tests.toy.toy_task import make_toy


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors are slower on many threads, and the machine may be shared; so too in the processes of tests."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _signals_are_heard() -> None:
    """Also where a shell has started the tests in the background, or nohup has: what is ignored is handed down."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _no_data_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "DATASET_ROOT",
        "DATALIST_ROOT",
        "CACHE_ROOT",
        "DUPLICATES_KEY",
        "PRIVACY_POLICY",
        "SITE_LEDGER",
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


@pytest.fixture
def toy_task(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Task]]:
    """The task of ``tests/toy``, two classes of 2D pictures, which is found by its name as the package's own are."""
    folder = Path(__file__).parent / "toy"
    monkeypatch.setattr(fedmed.tasks, "__path__", [*fedmed.tasks.__path__, str(folder)])
    importlib.invalidate_caches()
    yield registry.find("task", "toy_task")
    sys.modules.pop("fedmed.tasks.toy_task", None)
    vars(fedmed.tasks).pop("toy_task", None)


@pytest.fixture
def toy_algorithm(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Algorithm]]:
    """The algorithm of ``tests/toy/algorithm``, which uses all of the contract of an algorithm."""
    folder = Path(__file__).parent / "toy" / "algorithm"
    monkeypatch.setattr(fedmed.algorithms, "__path__", [*fedmed.algorithms.__path__, str(folder)])
    importlib.invalidate_caches()
    yield registry.find("algorithm", "toy_algorithm")
    sys.modules.pop("fedmed.algorithms.toy_algorithm", None)
    vars(fedmed.algorithms).pop("toy_algorithm", None)


@pytest.fixture
def toy_data(toy_task: type[Task], tmp_path: Path) -> Path:
    """Pictures of two sites with eight training cases each and six shared validation cases; lists in ``datalist``."""
    toy_task().demo_data(tmp_path / "toy")
    return tmp_path / "toy"


@pytest.fixture
def toy_test_cases(toy_data: Path) -> Path:
    """The same pictures with four test cases more at each site."""
    make_toy(toy_data, testing=4)
    return toy_data


@pytest.fixture
def toy_experiment(toy_data: Path) -> Callable[..., Experiment]:
    """Makes an experiment of two sites with the toy task; takes further command-line arguments, which win."""

    def make(*arguments: str) -> Experiment:
        usual = ["--task", "toy_task", "--dataset_base_dir", str(toy_data)]
        usual += ["--datalist_json_path", str(toy_data / "datalist"), "--n_clients", "2"]
        return read_experiment([*usual, *arguments])

    return make


@pytest.fixture
def scored_run(small_experiment: Callable[..., Experiment], tmp_path: Path) -> Callable[..., Path]:
    """Makes a finished run folder, with the evaluation of one of its models on made-up values.

    Takes the Dice by case and region, further arguments of job.py, and: ``model`` and ``split`` of the evaluation,
    ``site`` of each case, ``patient`` of each case, ``ledger``, and ``document`` for other facts of the evaluation.
    """

    def make(
        dice: dict[str, dict[str, float]],
        *arguments: str,
        model: str = "best",
        split: str = "validation",
        metric: str = "dice",
        site: dict[str, str] | None = None,
        patient: dict[str, str] | None = None,
        ledger: dict[str, Any] | None = None,
        **document: Any,
    ) -> Path:
        run = RunFolder.create(tmp_path / "runs", "run")
        run.write_experiment(small_experiment(*arguments))
        run.write_status("finished")
        run.write_json(
            "training_history", [{"round": 0, "site": "site-1"}, {"round": 1, "site": "site-1", "round_seconds": 2.0}]
        )
        if ledger is not None:
            run.write_json("privacy_ledger", ledger)
        about = {
            "task": "brats18",
            "split": split,
            "label_scheme": None,
            "flips": False,
            "data": "set",
            "cases": list(dice),
        }
        about |= {"run": run.name, "model": model, "weights_sha256": "ab"}
        about |= {"truth_sha256": {case: f"truth of {case}" for case in dice}}
        about |= {"patients": {case: (patient or {}).get(case, case) for case in dice}, **document}
        rows = [
            (run.name, (site or {}).get(case, "shared"), case, region, metric, value)
            for case, values in dice.items()
            for region, value in values.items()
        ]
        folder = EvaluationFolder(run.path / "evaluation" / f"{model}-{split}")
        folder.begin(about)
        folder.finish(pd.DataFrame(rows, columns=list(LONG_COLUMNS)), pd.DataFrame(), about)
        return run.path

    return make
