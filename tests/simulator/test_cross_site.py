"""The client answers all three of FLARE's tasks: train, validate and submit_model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nvflare.recipe.utils import add_cross_site_evaluation

import job
from fedmed.experiment import Experiment
from fedmed.history import scores_of
from fedmed.run_folder import RunFolder


def test_every_model_is_scored_at_every_site(
    small_experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = job.build_recipe

    def with_cross_site(experiment: Experiment, model: dict[str, Any]) -> Any:
        recipe = plain(experiment, model)
        add_cross_site_evaluation(recipe)
        return recipe

    monkeypatch.setattr(job, "build_recipe", with_cross_site)
    experiment = small_experiment("--workspace", str(tmp_path / "flare"))
    folder = RunFolder.create(tmp_path / "artifacts", "run")
    exported = job.export_job(experiment, tmp_path)
    records: list[dict[str, Any]] = []
    experiment.environment.run(exported, experiment, folder, records.append)

    assert [record["round"] for record in records] == [0, 1]
    found = next((tmp_path / "flare").rglob("cross_val_results.json"))
    results = json.loads(found.read_text())
    assert set(results) == {"site-1", "site-2"}
    for at_site in results.values():
        assert {"site-1", "site-2", "SRV_FL_global_model.pt"} <= set(at_site)
        assert all(0 <= scores["val_challenge_dice"] <= 1 for scores in at_site.values())
    final = scores_of(records[-1])["val_dice"]  # of the shares of all sites, which list the same cases
    assert results["site-1"]["SRV_FL_global_model.pt"]["val_dice"] == pytest.approx(final, abs=1e-6)
