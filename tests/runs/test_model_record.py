"""The record of a trained model: the published keys, of classes with figures, of other tasks without."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fedmed.command_line import read_experiment
from fedmed.experiment import Experiment
from fedmed.runs.model_record import FINDING_TEST_FIGURES, TEST_FIGURES, network_facts, training_facts
from fedmed.tasks.base import Task
from tests.runs.test_single_run import record

MACHINE: dict[str, Any] = {"gpus": []}
HOSPITAL = {"name": "St. Anna", "city": "Kraków", "latitude": 50.06, "longitude": 19.94, "fictional": True}
STATS: dict[str, Any] = {
    "site-1": {
        "training": 8,
        "validation": 6,
        "test": 4,
        "class_distribution": {"training": {"flat": 8, "upright": 0}, "all": {"flat": 12, "upright": 6}},
        "hospital": HOSPITAL,
    },
    "site-2": {"training": 8, "validation": 6},
}


def scored(number: int, right: int, best: bool = False, final: bool = False) -> dict[str, Any]:
    """The record of a round in which two sites score 4 cases each, one of them all wrong."""
    sites = {
        f"site-{n}": {
            "val_cases": 4,
            "val_accuracy": count / 4,
            "val_accuracy_values": 4,
            "val_accuracy_sum_right": count,
            "val_accuracy_sum_cases": 4,
        }
        for n, count in ((1, right), (2, 0))
    }
    return {**record(number, 0.0, best=best, final=final), "sites": sites}


def test_a_run_of_classes_has_the_published_keys(toy_experiment: Callable[..., Experiment]) -> None:
    experiment = toy_experiment("--num_rounds", "2", "--aggregation_epochs", "3")
    records = [scored(0, 1), scored(1, 4, best=True), scored(2, 2, final=True)]
    found = training_facts(experiment, STATS, records, MACHINE)
    assert datetime.now(UTC) - datetime.fromisoformat(found["trained_at"]) < timedelta(days=1)
    assert (found["num_classes"], found["num_epochs"], found["best_epoch"], found["device"]) == (2, 6, 3, "cpu")
    assert found["datasets"] == {
        "site-1": {"total": 18, "class_distribution": {"flat": 12, "upright": 6}, "location": HOSPITAL},
        "site-2": {"total": 14, "location": None},
    }
    assert found["metrics"] == {**dict.fromkeys(TEST_FIGURES), "best_val_accuracy": 0.5}


def test_without_a_best_model_there_is_no_best_epoch_and_no_best_accuracy(
    toy_experiment: Callable[..., Experiment],
) -> None:
    found = training_facts(toy_experiment(), STATS, [scored(0, 1), scored(1, 4, final=True)], MACHINE)
    assert (found["best_epoch"], found["metrics"]["best_val_accuracy"]) == (None, None)


def test_a_run_of_findings_has_areas_and_says_that_the_best_is_a_mean_of_the_sites(tmp_path: Path) -> None:
    data = ["--dataset_base_dir", str(tmp_path), "--datalist_json_path", str(tmp_path)]
    experiment = read_experiment(["--task", "chest_xray", *data, "--n_clients", "2"])
    sites = {"site-1": {"val_cases": 30, "val_auroc": 0.8, "val_auroc_values": 30},
             "site-2": {"val_cases": 10, "val_auroc": 0.6, "val_auroc_values": 10}}  # fmt: skip
    records = [scored(0, 1), {**record(1, 0.0, best=True, final=True), "sites": sites}]
    found = training_facts(experiment, {}, records, MACHINE)
    assert found["num_classes"] == 14
    best = {"best_val_auroc": pytest.approx(0.75), "best_val_auroc_is": "mean of the sites' AUROC"}
    assert found["metrics"] == {**dict.fromkeys(FINDING_TEST_FIGURES), **best}


def test_a_segmentation_has_no_keys_of_classes(small_experiment: Callable[..., Experiment]) -> None:
    found = training_facts(small_experiment(), {}, [scored(0, 1), scored(1, 2, best=True, final=True)], MACHINE)
    assert set(found) == {"trained_at", "num_epochs", "best_epoch", "device", "datasets"}


def test_where_the_data_are_the_sites_own_neither_they_nor_the_device_are_known(toy_task: type[Task]) -> None:
    federated = read_experiment(["--task", "toy_task", "--env", "prod", "--startup_kit", "kit", "--num_rounds", "2"])
    found = training_facts(federated, {}, [scored(0, 1)], MACHINE)
    assert (found["device"], found["datasets"]) == (None, {})


@pytest.mark.parametrize("batch_norm", ["--batch_norm", ""])
def test_the_network_is_what_the_task_makes(toy_experiment: Callable[..., Experiment], batch_norm: str) -> None:
    found = network_facts(toy_experiment(*filter(None, [batch_norm])), "toy", {})
    assert found["args"]["batch_norm"] is bool(batch_norm)
    assert found["trained_on"] == "toy"
