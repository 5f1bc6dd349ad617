"""A whole run on lists with three splits: what its folder says of them, and its figures on the test cases."""

import json
from pathlib import Path

import numpy as np

from tests.federations import here
from tests.toy.toy_task import make_toy

HOSPITAL = {"name": "St. Anna", "city": "Kraków", "latitude": 50.06, "longitude": 19.94, "fictional": True}


def test_a_run_ends_with_the_figures_of_its_best_model_on_every_sites_test_cases(tmp_path: Path) -> None:
    make_toy(tmp_path / "data", noise=20.0, testing=4)
    first = tmp_path / "data" / "datalist" / "site-1.json"
    first.write_text(json.dumps({"hospital": HOSPITAL, **json.loads(first.read_text())}))
    lists = ("--dataset_base_dir", tmp_path / "data", "--datalist_json_path", tmp_path / "data" / "datalist")
    ended = here.run(tmp_path / "runs", *here.toys(*lists, "--num_rounds", 2, "--aggregation_epochs", 2))
    run = ended.well()
    meta, splits, stats = (run.read_json(name) for name in ("model_meta", "dataset_splits", "dataset_stats"))
    assert {site: {split: len(names) for split, names in of.items()} for site, of in splits.items()} == {
        site: {"training": 8, "validation": 6, "test": 4} for site in ("site-1", "site-2")
    }
    assert stats["site-1"]["hospital"] == meta["datasets"]["site-1"]["location"] == HOSPITAL
    assert (meta["num_classes"], meta["num_epochs"]) == (2, 4)
    assert meta["best_epoch"] in (2, 4)
    matrix = np.array(meta["metrics"]["confusion_matrix"])
    assert matrix.sum(axis=1).tolist() == [4, 4]
    assert meta["metrics"]["test_accuracy"] == matrix.trace() / 8
    assert 0 <= meta["metrics"]["best_val_accuracy"] <= 1
    assert (run.path / "evaluation" / "best-test" / "evaluation.json").is_file()
    assert "Confusion matrix" in ended.shown
