"""The study of chest films through the real job.py, at the smallest size, and the command for NIH's whole set."""

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from benchmarks import chest_xray
from fedmed.analysis.evaluation import patient_bootstrap
from fedmed.command_line import read_experiment
from fedmed.core.cli import run_script
from fedmed.data.phantoms.chest_xray_phantom import demo_chest_xray
from fedmed.runs import study_runs
from fedmed.runs.run_folder import LAST, RunFolder
from fedmed.tasks.chest_xray import ChestXray
from model import ImageResNet
from tests import scripts
from tests.federations import here

FOLDER = scripts.ROOT / "dataset_chest_xray"


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the many intervals nobody looks at more than that they hold the figure; few patients have a finding."""
    monkeypatch.setattr(chest_xray, "FEW", 1)
    monkeypatch.setattr(patient_bootstrap, "DRAWS", 40)


def nih_set(place: Path, **patients: int) -> Path:
    """A made-up set as NIH ships its own, without lists of sites."""
    demo_chest_xray(place / "made", sites=2, **patients)
    tree = (place / "made").rename(place / "set")
    for name in ("PHANTOM.json", "datalist"):
        (tree / name).rename(place / f"aside {name}")
    return tree


def split(tree: Path, lists: Path, *options: str) -> Path:
    done = scripts.run(FOLDER / "prepare.py", "split", tree, "--out", lists, "--sites", "2", *options, cwd=tree)
    assert done.returncode == 0, done.stderr
    return lists


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(run.path / LAST, weights_only=True)["model"]
    return found


def test_the_study_makes_its_runs_once_and_scores_films_of_patients_on_whom_nobody_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_runs, "launch", here.launched)
    tree, out, runs = nih_set(tmp_path, cases=5, validation=4, test=5), tmp_path / "figs" / "study", tmp_path / "runs"
    lists = split(tree, tmp_path / "lists")
    own = ["--dataset_base_dir", str(tree), "--datalist_json_path", str(lists), "--artifacts", str(runs)]
    own += ["--ways", "partial", "fedbn", "--seeds", "1", "--least", "1", "--env", "pool", "--out", str(out)]
    job = ["--num_rounds", "2", "--batch_size", "4"]
    assert run_script(chest_xray.main, [*own, "--", *job]) == 0
    first, partial, fedbn = (RunFolder.open(runs / f"{name}-seed0-001") for name in ("first", "partial", "fedbn"))
    assert [run.experiment().training.num_rounds for run in (first, partial, fedbn)] == [1, 1, 2]
    before, after = weights(first), weights(partial)
    unmoved = {name for name in before if torch.equal(before[name], after[name])}
    assert not {name for name in before if not name.startswith(("layer4", "fc"))} - unmoved
    assert {"layer4.0.conv1.weight", "fc.weight"}.isdisjoint(unmoved)
    document = read(out.with_suffix(".json"))
    assert set(document["by_seed"]) == {"partial", "fedbn at site-1", "fedbn at site-2"}
    tested = {case["patient"] for case in read(lists / "test.json")["testing"]}
    assert f"the {len(tested)} patients" in out.with_suffix(".md").read_text()
    learnt = read(lists / "site-All.json")
    assert tested.isdisjoint(case["patient"] for part in ("training", "validation") for case in learnt[part])
    scored = pd.read_csv(fedbn.path / "evaluation" / "last-study" / "cases.csv").groupby("site")["case"].nunique()
    assert scored.to_dict() == dict.fromkeys(("site-1", "site-2"), len(read(lists / "test.json")["testing"]))
    for model, columns in document["by_seed"].items():
        for column, (value,) in columns.items():
            low, high = document["bounds"][model][column]
            assert 0 <= low <= value <= high <= 1
    assert [*map(int, document["validation_auroc"]["partial"][0])] == [1, 2]
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(study_runs, "launch", None)
    assert run_script(chest_xray.main, [*own, "--", *job]) == 0


def test_the_command_for_the_whole_set_runs_on_nihs_own_files(tmp_path: Path) -> None:
    tree = nih_set(tmp_path, cases=2, validation=1, test=1)
    with (tree / "Data_Entry_2017.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    rows[0][head.index("Patient Age")] = "060Y"
    (tree / "Data_Entry_2017.csv").write_text("".join(f"{','.join(row)}\n" for row in (head, *rows)))
    (tree / "BBox_List_2017.csv").write_text(
        f"Image Index,Finding Label,Bbox [x,y,w,h],,,\n{rows[0][0]},Mass,1,2,3,4\n"
    )
    lists = split(tree, tmp_path / "lists", "--by", "official")
    torch.save(ImageResNet(depth=34, in_channels=3, num_classes=1000).state_dict(), tmp_path / "resnet34.pth")
    readme = (FOLDER / "README.md").read_text()
    line = next(line for line in readme.splitlines() if "job.py --task chest_xray --preset published" in line)
    options = shlex.split(line.replace("resnet34.pth", str(tmp_path / "resnet34.pth")))[2:]
    task = read_experiment(options).task
    assert isinstance(task, ChestXray)
    assert (next(iter(task.networks())), task.network, task.image_size, task.channels) == ("resnet34", None, 224, 3)
    small = ["--n_clients", 2, "--num_rounds", 1, "--image_size", 64]
    data = ["--dataset_base_dir", tree, "--datalist_json_path", lists]
    run = here.run(tmp_path / "runs", *options, *data, *small).well()
    scored = {row["case"] for row in csv.DictReader((run.path / "evaluation" / "best-test" / "cases.csv").open())}
    assert len(scored) == len((tree / "test_list.txt").read_text().split())
