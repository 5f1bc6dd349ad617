"""A study of the toy task, as a file beside its data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[..., Path]


@pytest.fixture
def write_study(toy_test_cases: Path, tmp_path: Path) -> Write:
    """Writes a study of the toy's pictures on the partitions ``iid`` and ``again``; takes other keys of the file."""

    def write(**keys: Any) -> Path:
        lists = {"datalist_json_path": "toy/datalist"}
        document = {
            "name": "toy",
            "base": {"task": "toy_task", "dataset_base_dir": "toy", "num_rounds": 2},
            "partitions": {"iid": lists, "again": {**lists, "num_rounds": 3}},
            "algorithms": {"fedavg": {}, "central": {"n_clients": 1}},
            "seeds": 2,
        }
        path = tmp_path / "study.json"
        path.write_text(json.dumps({**document, **keys}))
        return path

    return write
