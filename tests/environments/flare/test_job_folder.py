"""The exported job: a site's mechanism is in the experiment that it carries, and nothing else has a part in it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError
from fedmed.core.messages import Answer, Question
from fedmed.core.names import STATE_VARIABLE
from fedmed.environments.flare.job_folder import CONFIG, EXPERIMENT, SITE_CONFIG, export_for_console, export_job
from fedmed.experiment import Experiment
from fedmed.site.local_training import LocalSite
from fedmed.site.site import Site
from fedmed.site.site_events import SiteEvents

MECHANISMS = {
    "none": (),
    "gaussian": ("--dp_noise_multiplier", "1"),
    "dpsgd": ("--dp_noise_multiplier", "1"),
    "svt": (),
    "percentile": ("--percentile", "60", "--percentile_gamma", "0.001"),
    "exclude_vars": ("--exclude_vars", "layers.0"),
}


class NoEvents:
    """Writes nothing."""

    def add_scalar(self, tag: str, scalar: float, global_step: int) -> None:
        pass


def answer_of(experiment: Experiment, run: str) -> Answer:
    """The answer of site-1 to the first round of a job."""
    site = Site(LocalSite(experiment, "site-1", run), SiteEvents("site-1", run, NoEvents()))
    torch.manual_seed(1)
    weights = {name: values.numpy() for name, values in site.local.task.build_model().state_dict().items()}
    return site.answer(Question("train", 0, ("site-1",), ("site-1",), weights))


@pytest.mark.parametrize("privacy", [name for name in MECHANISMS if name != "none"])
def test_whatever_filters_are_taken_out_of_a_job_the_raw_update_does_not_leave(
    privacy: str, toy_experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "kept"))
    seeded = ("--insecure_seeded_noise",) if privacy in ("gaussian", "dpsgd") else ()
    given = toy_experiment("--privacy", privacy, *MECHANISMS[privacy], *seeded)
    raw = answer_of(toy_experiment(), "raw").update
    whole = answer_of(given, "whole").update

    (tmp_path / "staging").mkdir()
    folder = export_job(given, tmp_path / "staging") / "app_site" / CONFIG
    config = json.loads((folder / SITE_CONFIG).read_text())
    assert not any(config.pop(f"task_{kind}_filters", None) for kind in ("result", "data"))  # there are none to delete
    (folder / SITE_CONFIG).write_text(json.dumps({**config, "components": []}))
    left = Experiment.from_json((folder / EXPERIMENT).read_text()).with_data(given.data)
    answer = answer_of(left, "left")

    same = [name for name in raw if np.array_equal(answer.update[name], raw[name])]
    assert len(same) < len(raw)
    if privacy == "exclude_vars":
        assert not any(name.startswith("layers.0") for name in same)
    else:
        assert same == []
    assert answer.entry is not None
    if seeded:
        assert all(np.array_equal(answer.update[name], values) for name, values in whole.items())


def test_a_job_whose_target_no_noise_meets_is_not_written(tmp_path: Path) -> None:
    arguments = ["--privacy", "gaussian", "--dp_target_epsilon", "1e-9", "--export", str(tmp_path / "job")]
    with pytest.raises(InputError, match="No noise multiplier reaches --dp_target_epsilon 1e-09"):
        export_for_console(read_experiment(arguments), tmp_path / "job", force=False)
    assert not (tmp_path / "job").exists()
