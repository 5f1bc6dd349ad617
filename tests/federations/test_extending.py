"""The examples of docs/extending.md run as they stand there."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.scripts import ROOT

LONGEST = 60
"""Lines of an example, its docstring and imports among them."""


def examples() -> dict[str, str]:
    """The files of the page by their paths."""
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    return dict(re.findall(r"```python\n# (src/\S+\.py)\n(.*?)```", page, flags=re.DOTALL))


def make_pictures(folder: Path) -> None:
    """Stripes that lie flat or stand upright, and the lists of two sites."""
    chance = np.random.default_rng(0)
    stripes = np.where(np.arange(16) // 2 % 2 == 0, 90.0, 150.0)
    entries = []
    for number in range(20):
        label = number % 2
        picture = np.broadcast_to(stripes if label else stripes[:, None], (16, 16)) + chance.normal(0, 20, (16, 16))
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        entries.append({"image": f"{number}.png", "label": label})
    for site in (1, 2):
        lists = {"training": entries[4 + 8 * (site - 1) : 4 + 8 * site], "validation": entries[:4]}
        (folder / f"site-{site}.json").write_text(json.dumps(lists))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of both examples together, from a copy of the code with the two files added and nothing changed."""
    place, data = tmp_path_factory.mktemp("code"), tmp_path_factory.mktemp("data")
    shutil.copytree(ROOT / "src", place / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("job.py", "client.py", "model.py"):
        shutil.copy(ROOT / name, place)
    for name, text in examples().items():
        (place / name).write_text(text, encoding="utf-8")
    make_pictures(data)
    command = [sys.executable, "job.py", "--task", "stripes", "--algorithm", "fedavgm", "--n_clients", "2"]
    command += [
        "--num_rounds",
        "2",
        "--env",
        "pool",
        "--dataset_base_dir",
        str(data),
        "--datalist_json_path",
        str(data),
    ]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "artifacts" / "run-001"


def test_there_is_a_task_and_an_algorithm_of_few_lines() -> None:
    found = examples()
    assert sorted(Path(name).parent.name for name in found) == ["algorithms", "tasks"]
    assert all(text.count("\n") <= LONGEST for text in found.values())


def test_they_train_and_are_scored_together(run: Path) -> None:
    assert json.loads((run / "status.json").read_text())["status"] == "finished"
    records = [json.loads(line) for line in (run / "rounds.jsonl").read_text().splitlines()]
    assert [record["round"] for record in records] == [0, 1, 2]
    assert all(0 <= report["val_accuracy"] <= 1 for record in records for report in record["sites"].values())
    assert (run / "best_global_model.pt").is_file()
    assert (run / "curves.png").is_file()
