"""What happens when a site fails in the middle of a run: a clear end, nothing lost, nothing left running."""

import contextlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import psutil
import pytest
import torch

from fedmed.data.phantoms.phantom import make_phantom
from fedmed.runs.run_folder import RunFolder
from tests.federations.simulator import launch

SITES = ["--n_clients", 2, "--learning_rate", 1e-3]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("phantom")
    make_phantom(place / "data", place / "data" / "datalist", sites=2, cases=1, validation=1, size=(32, 32, 32))
    return place / "data"


@pytest.fixture
def data(phantom: Path, tmp_path: Path) -> Path:
    """A copy of the phantom that a test may spoil."""
    return Path(shutil.copytree(phantom, tmp_path / "data"))


def of(data: Path) -> list[object]:
    return ["--dataset_base_dir", data, "--datalist_json_path", data / "datalist"]


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


class Started:
    """A run of many rounds, watched from outside."""

    def __init__(self, place: Path, data: Path, rounds: int, *options: object) -> None:
        self.run = place / "artifacts" / "run-001"
        arguments = [*SITES, "--num_rounds", rounds, *of(data), "--artifacts", place / "artifacts", *options]
        self.process = subprocess.Popen(
            launch.command(*arguments),
            env=launch.variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for_a_round(self, number: int = 1) -> None:
        self._wait_for(lambda history: history["round"].max() >= number, f"round {number}")

    def wait_for_a_refusal(self, site: str) -> int:
        """Until an update of a site was refused; in which round."""

        def refused(history: pd.DataFrame) -> pd.Series:
            known = history["refused"] if "refused" in history else pd.Series(index=history.index, dtype=object)
            return history[known.notna() & (history["site"] == site)]["round"]

        self._wait_for(lambda history: len(refused(history)) > 0, f"a refusal of {site}")
        return int(refused(RunFolder(self.run).history()).min())

    def _wait_for(self, there: Callable[[pd.DataFrame], bool], what: str) -> None:
        deadline = time.monotonic() + 120
        while not ((self.run / "training_history.json").exists() and there(RunFolder(self.run).history())):
            assert time.monotonic() < deadline, f"{what} did not come"
            assert self.process.poll() is None, self.process.communicate()[0]
            time.sleep(0.2)

    def everything(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def worker(self, site: str) -> psutil.Process:
        return next(p for p in self.everything() if site in p.cmdline() and "--client" in p.cmdline())

    def end(self) -> str:
        output, _ = self.process.communicate(timeout=60)
        return output


@contextlib.contextmanager
def started(place: Path, data: Path, rounds: int, *options: object) -> Iterator[Started]:
    run = Started(place, data, rounds, *options)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            for process in run.everything():
                process.kill()
            run.process.kill()


NOTHING_KEPT = ("--cache_gb", 0)  # so that a file which is spoilt after the audit is read again


def test_a_failed_audit_ends_the_run_before_it_starts(data: Path, tmp_path: Path) -> None:
    cut_off(data, "site-2")
    done = launch.run(tmp_path, *SITES, "--num_rounds", 3, *of(data))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "The audit of the data of site-2 failed" in done.stderr
    assert str(image_of(data, "site-2")) in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list((tmp_path / "artifacts").glob("run-*"))


def test_a_failing_site_ends_the_run_with_its_own_words(data: Path, tmp_path: Path) -> None:
    with started(tmp_path, data, 500, *NOTHING_KEPT) as run:
        run.wait_for_a_round()
        cut_off(data, "site-2")
        output = run.end()
    assert run.process.returncode == 1, output
    assert "site-2 failed" in output
    assert "Traceback" not in output
    folder = RunFolder.open(tmp_path / "artifacts" / "run-001")
    status = folder.read_json("status")
    assert status["status"] == "failed"
    assert "site-2" in status["reason"]
    assert (folder.path / "training.log").stat().st_size > 0
    assert not launch.processes_with(str(tmp_path))


PRIVACY = pytest.mark.parametrize("privacy", [(), ("--enable_dp",)], ids=["by the server", "by the site's own filter"])


@PRIVACY
def test_a_site_that_sends_nan_is_refused_and_without_any_other_the_run_ends(
    data: Path, tmp_path: Path, privacy: tuple[str, ...]
) -> None:
    with started(tmp_path, data, 500, *NOTHING_KEPT, *privacy) as run:
        run.wait_for_a_round()
        put_a_nan(data, "site-2")
        first = run.wait_for_a_refusal("site-2")
        run.wait_for_a_round(first + 2)  # the others go on
        assert run.process.poll() is None
        put_a_nan(data, "site-1")
        output = run.end()
    assert run.process.returncode == 1, output
    assert "without site-2: " in output
    assert "No update of this round could be used" in output
    assert "site-1: " in output
    assert "site-2: " in output
    folder = RunFolder.open(tmp_path / "artifacts" / "run-001")
    assert folder.read_json("status")["status"] == "failed"
    kept = torch.load(folder.path / "last_global_model.pt", weights_only=True)["model"]  # of the last usable round
    assert all(torch.isfinite(values).all() for values in kept.values())
    refused = folder.history().query(f"round == {first + 1} and site == 'site-2'")["refused"].iloc[0]
    assert ("filter" if privacy else "NaN") in refused


def test_a_killed_site_ends_the_run_within_a_minute(data: Path, tmp_path: Path) -> None:
    with started(tmp_path, data, 500) as run:
        run.wait_for_a_round()
        family = run.everything()
        run.worker("site-2").kill()
        output = run.end()
    assert run.process.returncode == 1
    assert "site-2 died" in output
    _nothing_is_left_and_what_was_there_is_kept(family, tmp_path)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_run_leaves_no_process(data: Path, tmp_path: Path, sent: signal.Signals) -> None:
    with started(tmp_path, data, 500) as run:
        run.wait_for_a_round()
        family = run.everything()
        run.process.send_signal(sent)
        output = run.end()
    assert run.process.returncode == 130, output
    _nothing_is_left_and_what_was_there_is_kept(family, tmp_path)


def _nothing_is_left_and_what_was_there_is_kept(family: list[psutil.Process], place: Path) -> None:
    assert len(family) >= 3  # the simulator and two sites
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    run = RunFolder.open(place / "artifacts" / "run-001")
    assert run.read_json("status")["status"] == "failed"
    assert not run.history().empty
    assert torch.load(run.path / "last_global_model.pt", weights_only=True)["model"]
