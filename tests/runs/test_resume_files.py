"""Every file with which a run goes on is opened before anything starts, and one that is no good is named."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import job
from fedmed.core.cli import run_script
from fedmed.core.names import LEDGER, SITES
from fedmed.core.weights import save_weights
from fedmed.experiment import Experiment
from fedmed.privacy.ledger import Ledger
from fedmed.runs.preflight import splits_of
from fedmed.runs.resume_files import check_files
from fedmed.runs.run_folder import RunFolder
from tests.runs.kept_files import keep

Cut = tuple[RunFolder, Experiment, dict[str, Path]]


@pytest.fixture
def cut(small_experiment: Callable[..., Experiment], tmp_path: Path) -> Cut:
    """A run that was cut off after two of three rounds, and the files that it would go on with."""
    experiment = small_experiment("--num_rounds", "3", "--artifacts", str(tmp_path))
    run = RunFolder.create(tmp_path, "run")
    run.write_experiment(experiment)
    run.write_status("failed")
    run.write_json("dataset_splits", splits_of({}))
    files = keep(run, experiment)
    Ledger(run.name, experiment.privacy.document()).save(run.path / SITES / "site-2" / LEDGER)
    files |= {"splits": run.path / "dataset_splits.json", "ledger": run.path / SITES / "site-2" / LEDGER}
    return run, experiment, files


FILES = (
    *("checkpoint", "records", "last model", "best model", "algorithm", "site's state", "splits", "ledger"),
)  # fmt: skip


def test_whole_files_are_no_hindrance_nor_that_no_round_was_completed(cut: Cut, tmp_path: Path) -> None:
    run, experiment, _ = cut
    check_files(run, experiment)
    check_files(RunFolder.create(tmp_path, "new"), experiment)


@pytest.mark.parametrize("harm", ["cut off", "emptied", "foreign"])
@pytest.mark.parametrize("which", FILES)
def test_a_file_that_is_no_good_is_named_before_anything_starts(
    cut: Cut, which: str, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _, files = cut
    path = files[which]
    before = path.read_bytes()
    path.unlink()  # the best and the last model may be two names of one file
    path.write_bytes({"cut off": before[: len(before) // 2] + b"\n", "emptied": b"", "foreign": b"\x89PNG\n"}[harm])
    if which == "records" and harm != "foreign":
        path = files["checkpoint"]  # which counts more rounds than there are records
    assert run_script(job.main, ["--resume", str(run.path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert str(path.parent) in error
    assert path.name in error
    assert error.count("\n") == 1
    assert run.status == "failed"
    assert not (run.path / "training.log").exists()


def test_a_model_of_another_network_is_refused_by_the_first_difference(cut: Cut) -> None:
    run, experiment, files = cut
    save_weights({"conv.weight": torch.zeros(2, 2)}, files["last model"])
    with pytest.raises(ValueError, match=r"after-2\.pt cannot be gone on with.*another network.*conv\.weight"):
        check_files(run, experiment)


def test_a_file_that_runs_code_is_refused(cut: Cut) -> None:
    run, experiment, files = cut
    files["last model"].unlink()  # it may be another name of the best one
    torch.save({"model": {"x": print}}, files["last model"])
    with pytest.raises(ValueError, match=r"after-2\.pt holds no weights that open safely"):
        check_files(run, experiment)
