"""The same images at two sites of a federation, which only the server can notice, and by hashes alone."""

import json
from pathlib import Path

import pytest

from fedmed.command_line import read_experiment
from fedmed.core.errors import RunFailed
from fedmed.data.phantoms.phantom import make_phantom
from fedmed.runs.run_folder import RunFolder
from fedmed.runs.run_monitor import RunMonitor


def test_a_leak_between_sites_ends_the_job_before_round_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job is handed to the sites without the launcher's own look at all lists, as in a real federation."""
    data = tmp_path / "data"
    make_phantom(data, data / "datalist", sites=2, cases=1, validation=1, size=(32, 32, 32))
    lists = {site: json.loads((data / "datalist" / f"{site}.json").read_text()) for site in ("site-1", "site-2")}
    lists["site-2"]["validation"] = lists["site-1"]["training"]
    (data / "datalist" / "site-2.json").write_text(json.dumps(lists["site-2"]))
    arguments = ["--dataset_base_dir", data, "--datalist_json_path", data / "datalist", "--n_clients", 2]
    experiment = read_experiment([*map(str, arguments), "--num_rounds", "1", "--env", "pool"])
    folder = RunFolder.create(tmp_path / "artifacts", "run")
    monkeypatch.setenv("DUPLICATES_KEY", "k" * 32)
    monitor = RunMonitor(folder, experiment)
    with pytest.raises(RunFailed, match=r"site-1 trains on what site-2 validates on: image [0-9a-f]{12}"):
        experiment.environment.run(experiment, folder, monitor)
    assert monitor.records == []
    found = folder.read_json("dataset_overlap")
    assert found["compared"] == ["site-1", "site-2"]
    assert [finding["level"] for finding in found["findings"]] == ["error"]
    told = (folder.path / "dataset_overlap.json").read_text()
    assert not any(word in told for word in ("PHANTOM", ".nii", str(tmp_path)))
