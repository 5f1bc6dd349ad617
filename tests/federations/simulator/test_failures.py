"""What happens when a site fails in the middle of a run: a clear end, nothing lost, nothing left running."""

import json
import os
import shutil
import signal
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import psutil
import pytest
import torch

from fedmed.core.names import LAST, LOG
from fedmed.runs.run_folder import RunFolder
from tests.federations import launch
from tests.federations.launch import Begun

SITES = ["--n_clients", 2, "--learning_rate", 1e-3]
MANY_ROUNDS = ("--num_rounds", 500)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return launch.small_data(tmp_path_factory.mktemp("phantom") / "data")


@pytest.fixture
def data(phantom: Path, tmp_path: Path) -> Path:
    """A copy of the phantom that a test may spoil."""
    return Path(shutil.copytree(phantom, tmp_path / "data"))


def begun(place: Path, data: Path, *options: object) -> Begun:
    """A run of many rounds."""
    artifacts = place / "artifacts"
    return Begun(artifacts / "run-001", *SITES, *MANY_ROUNDS, *launch.of(data), "--artifacts", artifacts, *options)


def image_of(data: Path, site: str) -> Path:
    """The first image file of the only training case of a site."""
    return data / json.loads((data / "datalist" / f"{site}.json").read_text())["training"][0]["image"][0]


def put_a_nan(data: Path, site: str) -> None:
    """Spoil one voxel of a site's only training case."""
    image = nib.load(image_of(data, site))
    spoilt = np.asarray(image.dataobj, np.float32)
    spoilt[16, 16, 16] = np.nan
    whole = image_of(data, site).with_name("spoilt.nii.gz")
    nib.save(nib.Nifti1Image(spoilt, image.affine), whole)
    whole.replace(image_of(data, site))


def cut_off(data: Path, site: str) -> None:
    """Leave but a part of an image of a site's only training case."""
    broken = image_of(data, site)
    broken.write_bytes(broken.read_bytes()[:-2000])


def refused(history: pd.DataFrame, site: str) -> pd.DataFrame:
    """The rounds in which an update of a site was refused."""
    known = history["refused"] if "refused" in history else pd.Series(index=history.index, dtype=object)
    return history[known.notna() & (history["site"] == site)]


NOTHING_KEPT = ("--cache_gb", 0)  # so that a file which is spoilt after the audit is read again


def test_a_failed_audit_ends_the_run_before_it_starts(data: Path, tmp_path: Path) -> None:
    cut_off(data, "site-2")
    done = launch.run(tmp_path, *SITES, "--num_rounds", 3, *launch.of(data))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "The audit of the data of site-2 failed" in done.stderr
    assert str(image_of(data, "site-2")) in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list((tmp_path / "artifacts").glob("run-*"))


def test_a_failing_site_ends_the_run_with_its_own_words(data: Path, tmp_path: Path) -> None:
    with begun(tmp_path, data, *NOTHING_KEPT) as run:
        run.wait_for_a_round()
        cut_off(data, "site-2")
        output = run.end(code=1)
    assert "site-2 failed" in output
    assert "Traceback" not in output
    status = run.folder.read_json("status")
    assert status["status"] == "failed"
    assert "site-2" in status["reason"]
    assert (run.folder.path / LOG).stat().st_size > 0
    assert not launch.processes_with(str(tmp_path))


def test_a_site_that_would_send_nan_is_left_out_and_without_any_other_the_run_ends(data: Path, tmp_path: Path) -> None:
    """Its own filter keeps the update back; that the server refuses one that arrives is tested in a federation."""
    with begun(tmp_path, data, *NOTHING_KEPT, "--enable_dp") as run:
        run.wait_for_a_round()
        put_a_nan(data, "site-2")
        run.wait_for_history(lambda history: not refused(history, "site-2").empty, "a refusal")
        first = int(refused(run.history, "site-2")["round"].min())
        run.wait_for_a_round(first + 2)  # the others go on
        assert run.process.is_alive()
        put_a_nan(data, "site-1")
        output = run.end(code=1)
    assert "without site-2: " in output
    assert "No update of this round could be used" in output
    assert "site-1: " in output
    assert "site-2: " in output
    assert run.folder.status == "failed"
    kept = torch.load(run.folder.path / LAST, weights_only=True)["model"]  # of the last usable round
    assert all(torch.isfinite(values).all() for values in kept.values())
    history = run.folder.history()
    assert refused(history, "site-1")["round"].tolist() == [history["round"].max()]
    assert refused(history, "site-2")["refused"].str.contains("filter").all()


def test_a_killed_site_ends_the_run_within_a_minute(data: Path, tmp_path: Path) -> None:
    with begun(tmp_path, data) as run:
        run.wait_for_a_round()
        family = run.everything()
        run.worker("site-2").kill()
        output = run.end(code=1)
    assert "site-2 died" in output
    _nothing_is_left_and_what_was_there_is_kept(family, run.folder)


def test_an_interrupted_run_leaves_no_process(data: Path, tmp_path: Path) -> None:
    with begun(tmp_path, data) as run:
        run.wait_for_a_round()
        family = run.everything()
        os.kill(run.pid, signal.SIGHUP)  # as when its terminal is closed; as Ctrl-C does
        run.end(code=130)
    _nothing_is_left_and_what_was_there_is_kept(family, run.folder)


def _nothing_is_left_and_what_was_there_is_kept(family: list[psutil.Process], run: RunFolder) -> None:
    assert len(family) >= 3  # the simulator and two sites
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert run.read_json("status")["status"] == "failed"
    assert not run.history().empty
    assert torch.load(run.path / LAST, weights_only=True)["model"]
