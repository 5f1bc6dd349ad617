"""Runs that are cut off go on as if they had not been, wherever they began; a site that dies can be spared."""

import contextlib
import shlex
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import torch

from fedmed.core.names import BEST, LAST, LEDGER
from fedmed.privacy.ledger import read_ledger
from fedmed.runs.run_folder import RunFolder
from tests.federations import launch
from tests.federations.launch import Begun

NOISE = ["--privacy", "gaussian", "--dp_clip", 1, "--dp_noise_multiplier", 0.02, "--dp_release_metrics"]
"""Little noise, so that the ledger has something to say and a best model is chosen by the scores."""


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return launch.small_data(tmp_path_factory.mktemp("phantom") / "data")


def of(data: Path, *options: object) -> list[object]:
    return [*launch.of(data), "--n_clients", 2, "--learning_rate", 1e-3, *options]


def weights(run: Path, name: str) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(run / name, weights_only=True)["model"]
    return loaded


def test_a_run_that_was_cut_off_twice_ends_as_if_it_had_not_been(phantom: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole" / "run-001", tmp_path / "cut" / "run-001"
    usual = of(phantom, "--num_rounds", 4, "--aggregation_epochs", 2)
    with Begun(whole, *usual, "--artifacts", whole.parent) as run:
        run.end()
    with Begun(cut, *usual, "--artifacts", cut.parent, "--env", "poc") as run:
        run.wait_for("round 1/4")
        run.cut_off()
    with Begun(cut, "--resume", cut, "--env", "sim") as run:
        run.wait_for("resumed after round")  # and one more is done
        run.cut_off()
    with Begun(cut, "--resume", cut) as run:
        assert "resumed after round" in run.end()
    for name in (BEST, LAST):
        torch.testing.assert_close(weights(cut, name), weights(whole, name), rtol=0, atol=0)
    ours, theirs = RunFolder(cut).history(), RunFolder(whole).history()
    same = [name for name in theirs if not name.endswith("seconds")]
    pd.testing.assert_frame_equal(ours[same], theirs[same])
    assert {path.name for path in whole.iterdir()} <= {path.name for path in cut.iterdir()}
    assert not list(cut.rglob("after-*.pt"))  # what was kept to go on with is gone


def test_the_ledger_counts_what_was_sent_for_a_round_that_was_lost(phantom: Path, tmp_path: Path) -> None:
    run = tmp_path / "run-001"
    with Begun(run, *of(phantom), *NOISE, "--num_rounds", 3, "--artifacts", tmp_path) as begun:
        begun.wait_for("round 1/3")
        launch.until(lambda: len(read_ledger(run / "sites" / "site-1" / LEDGER).entries) >= 2)
        begun.cut_off()
    before = read_ledger(run / "sites" / "site-1" / LEDGER)
    with Begun(run, "--resume", run) as again:
        again.end()
    after = read_ledger(run / "sites" / "site-1" / LEDGER)
    assert after.entries[: len(before.entries)] == before.entries
    assert sum(steps for _, _, steps in after.history) == len(after.entries) >= 3
    spent = [entry.epsilon_total for entry in read_ledger(run / LEDGER).entries if entry.site == "site-1"]
    assert spent[-1] == after.total == max(spent)  # type: ignore[type-var]


def test_a_site_that_dies_is_spared_and_every_round_counts(phantom: Path, tmp_path: Path) -> None:
    options = ["--num_rounds", 4, "--aggregation_epochs", 3, "--min_clients", 1, "--site_silence", 15]
    with Begun(tmp_path / "run-001", *of(phantom, *options), "--artifacts", tmp_path) as begun:
        begun.wait_for("round 1/4")
        begun.worker("site-2").kill()
        assert "without site-2: no sign of life" in begun.end()
    table = begun.folder.history()
    trained = table[table["train_loss"].notna()]
    assert set(trained[trained["site"] == "site-1"]["round"]) == {1, 2, 3, 4}
    assert 4 not in set(trained[trained["site"] == "site-2"]["round"])


NAMESPACE = """
mount -t tmpfs -o size=400m tmpfs {disk}
{run} > {said} 2>&1
echo $? > {codes}
rm {disk}/filler
{resume} > {said}-again 2>&1
echo $? >> {codes}
cp -r {disk}/artifacts {kept}
"""


def may_mount() -> bool:
    asked = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    return shutil.which("unshare") is not None and subprocess.run(asked, capture_output=True).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="this system lets users mount no file system, so none can be filled")
def test_a_full_disk_ends_the_run_in_one_line_and_loses_no_round(phantom: Path, tmp_path: Path) -> None:
    disk, said, codes, kept = (tmp_path / name for name in ("disk", "said", "codes", "kept"))
    disk.mkdir()
    run = disk / "artifacts" / "run-001"
    options = ["--num_rounds", 4, "--aggregation_epochs", 3, "--cache_gb", 0, "--artifacts", run.parent]
    script = NAMESPACE.format(
        disk=disk, said=said, codes=codes, kept=kept,
        run=shlex.join(launch.command(*of(phantom, *options))), resume=shlex.join(launch.command("--resume", run)),
    )  # fmt: skip
    process = subprocess.Popen(["unshare", "-rm", "bash", "-c", script], env=launch.variables())
    launch.until(lambda: said.exists() and "round 2/4" in said.read_text())
    fill(Path(f"/proc/{process.pid}/root{disk}") / "filler")
    assert process.wait(timeout=launch.PATIENCE_S) == 0
    assert codes.read_text().split() == ["1", "0"], said.read_text() + Path(f"{said}-again").read_text()
    assert "No space left on device" in said.read_text().splitlines()[-1]
    assert "Traceback" not in said.read_text()
    again = Path(f"{said}-again").read_text()
    assert "resumed after round 2 of 4" in again or "resumed after round 3 of 4" in again
    assert set(RunFolder(kept / "run-001").history()["round"]) == {0, 1, 2, 3, 4}


def fill(path: Path) -> None:
    """Write until there is no space left."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(2**20))
