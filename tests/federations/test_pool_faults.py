"""Workers that die, sites that fail, stall or hold back in a pool, and a launcher that is stopped. No round is lost."""

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from PIL import Image

from fedmed.core.names import BEST, LAST, LEDGER, SITES
from fedmed.core.weights import load_weights
from fedmed.privacy.ledger import read_ledger
from fedmed.runs.run_folder import RunFolder
from fedmed.server.federation_server import WITHHELD
from tests.federations import here, launch
from tests.federations.here import Follower, Stalled
from tests.federations.launch import Begun
from tests.toy.toy_task import make_toy

NAMES = ("site-1", "site-2", "site-3", "site-4")
VICTIM = "site-2"
DIED = "its worker process died without a word"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = tmp_path_factory.mktemp("toy") / "data"
    make_toy(pictures, sites=len(NAMES), cases=4, validation=2, noise=20.0)
    return pictures


@pytest.fixture
def data(pictures: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(pictures, tmp_path / "data"))


def lists_of(data: Path) -> list[object]:
    return ["--dataset_base_dir", data, "--datalist_json_path", data / "datalist"]


def of(data: Path, *options: object) -> list[object]:
    """A pool of four sites, two of them a worker, with state at the server and at the sites."""
    usual = here.toys("--n_clients", len(NAMES), "--workers", 2, "--num_rounds", 4, "--algorithm", "toy_algorithm")
    return [*usual, *lists_of(data), *options]


def image_of(data: Path, site: str = VICTIM) -> Path:
    """An image of a site's training cases, the second."""
    return data / json.loads((data / "datalist" / f"{site}.json").read_text())["training"][1]["image"]


def models(run: RunFolder) -> dict[str, dict[str, torch.Tensor]]:
    """The global models and the sites' own, by their paths in the run folder."""
    own = run.path.glob(f"{SITES}/*/*_local_model.pt")
    return {str(path.relative_to(run.path)): load_weights(path) for path in (run.path / BEST, run.path / LAST, *own)}


def history(run: RunFolder) -> pd.DataFrame:
    """The history without what depends on the machine."""
    table = run.history()
    return table[[name for name in table if not name.endswith("seconds")]]


def assert_same(run: RunFolder, whole: RunFolder) -> None:
    """The run has the bits of one that nothing happened to."""
    found, expected = models(run), models(whole)
    assert found.keys() == expected.keys()
    for name, weights in expected.items():
        torch.testing.assert_close(found[name], weights, rtol=0, atol=0)
    pd.testing.assert_frame_equal(history(run), history(whole), check_exact=True)


def refused(run: RunFolder) -> dict[tuple[int, str], str]:
    """Why a site's update is no part of a round, by round and site."""
    table = run.history()
    found = table[table["refused"].notna()] if "refused" in table else table[:0]
    return {(row.round, row.site): row.refused for row in found.itertuples()}


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run to which nothing happens."""
    return here.run(tmp_path_factory.mktemp("whole"), *of(pictures)).well()


class KillInRound(Follower):
    """Kills the worker that is at a site, in the middle of a round."""

    def __init__(self, image: Path, number: int) -> None:
        self.image, self.number, self.killed = image, number, False
        self.stalled: Stalled | None = None

    def record(self, record: Mapping[str, Any]) -> None:
        if record["round"] == self.number - 2:  # of the round before, counted from 0
            self.stalled = Stalled(self.image)

    def look(self) -> None:
        if self.stalled is not None and self.stalled.kill_reader():
            self.stalled.heal()
            self.stalled, self.killed = None, True


def test_a_worker_that_dies_in_a_round_is_replaced_and_no_bit_changes(
    data: Path, whole: RunFolder, tmp_path: Path
) -> None:
    killer = KillInRound(image_of(data), 3)
    run = here.run(tmp_path, *of(data), follower=killer).well()
    assert killer.killed
    assert refused(run) == {}
    assert_same(run, whole)


def test_workers_that_die_between_two_rounds_are_replaced_and_no_bit_changes(
    data: Path, whole: RunFolder, tmp_path: Path
) -> None:
    class Killer(Follower):
        def record(self, record: Mapping[str, Any]) -> None:
            for process in launch.workers_of(psutil.Process()):
                process.kill()

    run = here.run(tmp_path, *of(data), follower=Killer()).well()
    assert_same(run, whole)


def test_a_site_whose_workers_die_again_ends_the_run_by_its_name(data: Path, tmp_path: Path) -> None:
    class Killer(Follower):
        begun = False

        def record(self, record: Mapping[str, Any]) -> None:
            self.begun = True

        def look(self) -> None:
            for process in launch.workers_of(psutil.Process()) if self.begun else []:
                process.kill()

    ended = here.run(tmp_path, *of(data, "--aggregation_epochs", 300), follower=Killer())
    error = ended.failed()
    assert re.search(rf"round 2 needs an answer of every site \(site-[1-4]: {DIED}", error)
    assert launch.workers_of(psutil.Process()) == []
    assert ended.folder.history().query("round == 1")["train_loss"].notna().all()
    assert (ended.folder.path / LAST).is_file()


def test_with_min_clients_the_site_of_a_dead_worker_is_left_out_of_that_round(data: Path, tmp_path: Path) -> None:
    killer = KillInRound(image_of(data), 2)
    ended = here.run(tmp_path, *of(data, "--min_clients", 3), follower=killer)
    found = refused(ended.well())
    assert found.keys() == {(2, VICTIM)}
    assert DIED in found[2, VICTIM]
    assert f"without {VICTIM}: {DIED}" in ended.shown


class SpoilInRound(Follower):
    """Gives an image of a site other content for one round."""

    def __init__(self, image: Path, number: int, content: bytes) -> None:
        self.image, self.number, self.content = image, number, content
        self.whole = image.read_bytes()

    def record(self, record: Mapping[str, Any]) -> None:
        spoilt = record["round"] == self.number - 2
        here.replace(self.image, self.content if spoilt else self.whole)


def test_a_failing_site_ends_the_run_with_its_own_words_and_the_run_goes_on(
    data: Path, pictures: Path, whole: RunFolder, tmp_path: Path
) -> None:
    image = image_of(data)
    ended = here.run(tmp_path, *of(data), follower=SpoilInRound(image, 3, torn(image)))
    error = ended.failed()
    assert f"round 3 needs an answer of every site ({VICTIM}: " in error
    assert ".py, line" in error
    assert ended.folder.history().query("round == 2")["train_loss"].notna().all()
    here.replace(image, image_of(pictures).read_bytes())
    again = here.run(tmp_path, "--resume", ended.folder.path)
    assert "resumed after round 2 of 4" in again.shown
    assert_same(again.well(), whole)


@pytest.mark.parametrize("workers", [2, 4])
def test_with_min_clients_a_failing_site_is_left_out_and_leaves_nothing_behind(
    data: Path, tmp_path: Path, workers: int
) -> None:
    """Of a round that failed half-way nothing is in the next one, whether or not others use the worker."""
    options = ("--min_clients", 2, "--batch_size", 1, "--workers")
    image = image_of(data)
    spoil = [SpoilInRound(image, 2, torn(image)) for _ in range(2)]
    run = here.run(tmp_path / "one", *of(data, *options, workers), follower=spoil[0]).well()
    other = here.run(tmp_path / "other", *of(data, *options, 1), follower=spoil[1]).well()
    assert refused(run).keys() == {(2, VICTIM)}
    assert_same(run, other)


def test_a_site_that_would_send_nan_is_left_out_and_the_others_go_on(data: Path, tmp_path: Path) -> None:
    """The site itself withholds the update, where it has a mechanism."""
    spoil = SpoilInRound(image_of(data), 2, nan_picture())
    ended = here.run(tmp_path, *of(data, "--enable_dp", "--algorithm", "fedavg"), follower=spoil)
    found = refused(ended.well())
    assert found[2, VICTIM] == WITHHELD
    assert {site for _, site in found} == {VICTIM}


def test_a_round_of_which_no_update_can_be_used_ends_the_run(data: Path, tmp_path: Path) -> None:
    class SpoilAll(Follower):
        def record(self, record: Mapping[str, Any]) -> None:
            for site in NAMES:
                here.replace(image_of(data, site), nan_picture())

    ended = here.run(tmp_path, *of(data, "--enable_dp", "--algorithm", "fedavg"), follower=SpoilAll())
    error = ended.failed()
    assert "No update of this round could be used" in error
    assert all(f"{site}: {WITHHELD}" in error for site in NAMES)
    last = load_weights(ended.folder.path / LAST)  # of the last usable round
    assert all(torch.isfinite(values).all() for values in last.values())
    assert refused(ended.folder).keys() == {(2, site) for site in NAMES}


def torn(image: Path) -> bytes:
    """A part of an image, which opens and cannot be read to its end."""
    return image.read_bytes()[:-100]


def nan_picture() -> bytes:
    """A picture of floats, one of which is none; what opens it does not look at the file's name."""
    pixels = np.full((16, 16), 100, np.float32)
    pixels[3, 4] = np.nan
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "TIFF")
    return written.getvalue()


def test_a_site_that_stalls_is_left_out_when_the_rounds_time_is_up_and_asked_again(data: Path, tmp_path: Path) -> None:
    class Stall(Follower):
        stalled: Stalled | None = None

        def record(self, record: Mapping[str, Any]) -> None:
            if record["round"] == 0:
                self.stalled = Stalled(image_of(data))
            elif self.stalled is not None:
                self.stalled.heal()
                self.stalled = None

    options = ("--workers", 4, "--min_clients", 1, "--round_timeout", (timeout := 5))
    run = here.run(tmp_path, *of(data, *options), follower=Stall()).well()
    assert refused(run)[2, VICTIM] == f"no answer within {timeout} s"
    table = run.history()
    assert 4 in set(table[table["train_loss"].notna() & (table["site"] == VICTIM)]["round"])


class StopInRound(Follower):
    """Presses Ctrl-C once a site's ledger has so many entries, while another one is at its round."""

    def __init__(self, image: Path, ledger: Path, entries: int) -> None:
        self.image, self.ledger, self.entries = image, ledger, entries
        self.stalled: Stalled | None = None
        self.workers: list[psutil.Process] = []

    def record(self, record: Mapping[str, Any]) -> None:
        if record["round"] == self.entries - 2:
            self.stalled = Stalled(self.image)

    def look(self) -> None:
        if self.stalled is not None and len(read_ledger(self.ledger).entries) == self.entries:
            self.stalled.heal()
            self.stalled = None
            self.workers = launch.workers_of(psutil.Process())
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_that_is_stopped_leaves_no_process_and_goes_on_with_what_it_has_spent(data: Path, tmp_path: Path) -> None:
    """The site that had answered spends for that round a second time, and the ledger says so."""
    noise = ("--dp_noise_multiplier", 0.5, "--dp_release_metrics", "--insecure_seeded_noise")
    options = of(data, "--privacy", "gaussian", "--algorithm", "fedavg", *noise)
    run = tmp_path / "run-001"
    own = run / SITES / "site-1" / LEDGER
    stop = StopInRound(image_of(data), own, 2)
    ended = here.run(tmp_path, *options, follower=stop)
    assert ended.code == 130
    assert len(stop.workers) == 2
    assert not [process for process in stop.workers if process.is_running()]
    assert ended.folder.read_json("status") == {"status": "failed", "reason": "stopped by the user"}
    assert "--resume" in ended.shown
    before = read_ledger(own)
    assert len(before.entries) == 2
    again = here.run(tmp_path, "--resume", run)
    assert "resumed after round 1 of 4" in again.shown
    after = read_ledger(own)
    assert after.entries[:2] == before.entries
    assert sum(steps for _, _, steps in after.history) == len(after.entries) == 5
    spent = [entry.epsilon_total for entry in read_ledger(run / LEDGER).entries if entry.site == "site-1"]
    assert spent[-1] == after.total == max(spent)  # type: ignore[type-var]
    uncut = here.run(tmp_path / "uncut", *options).well()
    for name, values in load_weights(uncut.path / LAST).items():
        torch.testing.assert_close(load_weights(run / LAST)[name], values, rtol=0, atol=0)


def test_a_launcher_that_is_killed_leaves_no_process_and_its_run_goes_on_with_the_same_bits(
    data: Path, tmp_path: Path, toy_project: Path
) -> None:
    rounds = ("--num_rounds", 25)
    place = tmp_path / "cut"
    options = [*of(data, *rounds), "--artifacts", place]
    with Begun(place / "run-001", *options, project=toy_project) as run:
        run.wait_for_a_round(2)
        stalled = Stalled(image_of(data))
        kill_in_the_middle(run, stalled)
        launch.until(lambda: not launch.processes_with(str(place)))
        stalled.heal()
    again = here.run(place, "--resume", place / "run-001")
    assert "resumed after round" in again.shown
    assert_same(again.well(), here.run(tmp_path / "whole", *of(data, *rounds)).well())


def kill_in_the_middle(run: Begun, stalled: Stalled) -> None:
    """Kill a launcher one of whose workers waits for a file, and will not get it."""
    while True:
        with stalled.reader() as worker:
            if worker is not None:
                assert worker in launch.workers_of(psutil.Process(run.pid))
                os.kill(run.pid, signal.SIGKILL)
                run.process.join()
                assert psutil.wait_procs([worker], timeout=launch.PATIENCE_S)[1] == []
                return
        time.sleep(0.05)


REFUSED: Mapping[str, tuple[tuple[object, ...], str]] = {
    "no worker": (("--workers", 0), "workers is 0; expected a whole number from 1 to 256"),
    "a worker too many": (("--workers", 5), "workers is 5; expected at most 4, the number of sites"),
    "processes of sites": (("--num_workers", 1), "--num_workers 1 would start so many processes for each site"),
    "another environment's": (("--startup_kit", "kit"), "--startup_kit"),
    "a site too many": (("--sites_per_round", 5), "sites_per_round is 5; expected 1 to 4, the number of sites"),
    "too few": (("--sites_per_round", 2, "--min_clients", 3), "at most the 2 sites that train in a round"),
}


@pytest.mark.parametrize(("options", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_run_is_refused_in_a_sentence(
    data: Path, tmp_path: Path, options: tuple[object, ...], words: str
) -> None:
    assert words in here.run(tmp_path, *of(data, *options)).refused()


def test_a_failed_audit_ends_the_run_before_it_starts(data: Path, tmp_path: Path) -> None:
    image = image_of(data)
    here.replace(image, b"no picture")
    error = here.run(tmp_path, *of(data)).refused()
    assert f"The audit of the data of {VICTIM} failed" in error
    assert str(image) in error


NAMESPACE = """
mount -t tmpfs -o size=20m tmpfs {disk}
{run} > {said} 2>&1
echo $? > {codes}
rm {disk}/filler
cp -r {disk}/artifacts {cut}
"""


def may_mount() -> bool:
    asked = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    return shutil.which("unshare") is not None and subprocess.run(asked, capture_output=True).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="this system lets users mount no file system, so none can be filled")
def test_a_full_disk_ends_the_run_in_one_line_and_loses_no_round(data: Path, tmp_path: Path, toy_project: Path) -> None:
    disk, said, codes, cut = (tmp_path / name for name in ("disk", "said", "codes", "cut"))
    disk.mkdir()
    rounds = ("--num_rounds", 40)
    options = [*of(data, *rounds), "--cache_gb", 0, "--artifacts", disk / "artifacts"]
    begun = shlex.join(launch.command(*options, project=toy_project))
    script = NAMESPACE.format(disk=disk, said=said, codes=codes, cut=cut, run=begun)
    process = subprocess.Popen(["unshare", "-rm", "bash", "-c", script], env=launch.variables())
    launch.until(lambda: said.exists() and "round  2/40" in said.read_text())
    fill(Path(f"/proc/{process.pid}/root{disk}") / "filler")
    assert process.wait(timeout=launch.PATIENCE_S) == 0
    assert codes.read_text().split() == ["1"], said.read_text()
    assert "No space left on device" in said.read_text().splitlines()[-1]
    assert "Traceback" not in said.read_text()
    assert not list(cut.rglob(".*.part"))
    before = RunFolder(cut / "run-001").history()
    again = here.run(cut, "--resume", cut / "run-001")
    assert "resumed after round" in again.shown
    assert before["round"].max() >= 2
    uncut = here.run(tmp_path / "uncut", *of(data, *rounds)).well()
    assert_same(again.well(), uncut)


def fill(path: Path) -> None:
    """Write until there is no space left."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(2**12))
