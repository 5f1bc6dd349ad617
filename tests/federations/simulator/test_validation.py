"""When and where the global model is scored."""

from pathlib import Path

from fedmed.data.phantoms.phantom import make_phantom
from fedmed.runs.run_folder import RunFolder
from tests.federations import launch


def test_every_second_round_and_the_last_each_site_on_its_own_cases(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = {"sites": 2, "cases": 1, "validation": 2, "size": (32, 32, 32), "validation_lists": "per_site"}
    make_phantom(data, data / "datalist", **made)  # type: ignore[arg-type]
    paths = ["--dataset_base_dir", data, "--datalist_json_path", data / "datalist"]
    done = launch.run(tmp_path, *paths, "--n_clients", 2, "--num_rounds", 3, "--validate_every", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    history = RunFolder.open(tmp_path / "artifacts" / "run-001").history()
    scored = history.dropna(subset=["val_dice"])
    assert sorted(set(scored["round"])) == [0, 2, 3]
    assert (scored["val_cases"] == 2).all()
    assert sorted(set(history.dropna(subset=["train_loss"])["round"])) == [1, 2, 3]
    assert "its share" not in done.stdout
    assert done.stdout.count("val_dice      -") == 1
