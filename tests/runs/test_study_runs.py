"""The runs of a study: which finished ones count, and how one that fails is reported."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fedmed.core.errors import InputError, RunFailed
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.runs.study_runs import finished, launch

Make = Callable[..., Experiment]


def test_only_a_finished_run_of_the_same_settings_counts_as_run(small_experiment: Make, tmp_path: Path) -> None:
    experiment = small_experiment("--job_name", "none-seed0")
    assert finished(tmp_path, experiment) is None
    runs = [RunFolder.create(tmp_path, "none-seed0") for _ in range(3)]
    runs[0].write_experiment(experiment)
    runs[0].write_status("finished")
    runs[1].write_experiment(small_experiment("--job_name", "none-seed0", "--seed", "1"))
    runs[1].write_status("finished")
    runs[2].write_experiment(experiment)
    runs[2].write_status("failed")
    found = finished(tmp_path, small_experiment("--job_name", "none-seed0", "--cache_dataset", "1"))
    assert found is not None
    assert found.name == "none-seed0-001"
    assert finished(tmp_path, small_experiment("--job_name", "none-seed0", "--learning_rate", "1")) is None
    elsewhere = ("--datalist_json_path", str(tmp_path))
    assert finished(tmp_path, small_experiment("--job_name", "none-seed0", *elsewhere)) is None


@pytest.mark.parametrize(("code", "error"), [("sys.exit(2)", InputError), ("sys.exit(1)", RunFailed)])
def test_a_run_that_fails_is_reported_with_its_last_words(code: str, error: type[Exception], tmp_path: Path) -> None:
    last_words = "print('begin', flush=True)\nprint('no luck', file=sys.stderr)"
    (tmp_path / "job.py").write_text(f"import sys\n{last_words}\n{code}\n")
    with pytest.raises(error, match=r"none-seed0 ended with exit code \d \(no luck\); its output is in"):
        launch("none-seed0", [], tmp_path / "job.py", tmp_path)
