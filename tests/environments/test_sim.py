"""The simulator's environment: paths that its command lines do not split, logs read by whole lines, its checks."""

import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from nvflare.private.fed.app.simulator import simulator_runner

from fedmed.core.errors import InputError, RunFailed
from fedmed.core.names import CROSS_SITE_RESULTS, LOG, RECORDS, SERVER, SITES
from fedmed.environments.process_tree import ProcessTree
from fedmed.environments.sim import _DEAD_WORKER, FollowedSimulation, Sim
from fedmed.environments.step_progress import Steps
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.server.quorum import NO_ROUND


@pytest.mark.parametrize(
    ("line", "site"),
    [
        ("ERROR - Subprocess died for client site-2, exit code: -9", "site-2"),
        ("ERROR - Subprocess died for client site-12 before second recv, exit code: 1", "site-12"),
        ("ERROR - Subprocess died for client site-All before send, exit code: 1", "site-All"),
        ("ERROR - Communication error with client site-3: EOFError", "site-3"),
    ],
)
def test_a_dead_site_is_found_in_the_log(line: str, site: str) -> None:
    match = _DEAD_WORKER.search(line)
    assert match is not None
    assert match.group(1) == site


@pytest.mark.parametrize("line", ["INFO - client site-2 joined", "Subprocess of site-1 started", "died: site-1"])
def test_an_ordinary_line_kills_no_site(line: str) -> None:
    assert not _DEAD_WORKER.search(line)


def test_flare_still_speaks_of_dead_sites_in_these_words() -> None:
    source = inspect.getsource(simulator_runner)
    spoken = re.findall(r'f"([^"]*\{client\.client_name\}[^"]*)"', source)
    told = [text.replace("{client.client_name}", "site-1") for text in spoken]
    found = [text for text in told if _DEAD_WORKER.search(text)]
    assert {"Subprocess died for", "Communication error with"} <= {text.split(" client ")[0] for text in found}


@pytest.mark.parametrize(
    ("threads", "restart", "said"),
    [(1, False, "fewer than the 2 sites"), (3, False, "more than the 2"), (3, True, "more than the 2"), (0, True, "0")],
)
def test_threads_that_do_not_fit_the_sites_are_refused(
    small_experiment: Callable[..., Experiment], threads: int, restart: bool, said: str
) -> None:
    experiment = small_experiment()
    with pytest.raises(InputError, match=said):
        Sim(threads=threads, allow_restart=restart).check(experiment)


@pytest.mark.parametrize(("threads", "restart"), [(None, False), (2, False), (1, True)])
def test_threads_that_fit_are_accepted(
    small_experiment: Callable[..., Experiment], threads: int | None, restart: bool
) -> None:
    Sim(threads=threads, allow_restart=restart).check(small_experiment())


def test_a_gpu_is_checked_against_the_machine(
    small_experiment: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = small_experiment()
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    Sim(gpu="0").check(experiment)
    with pytest.raises(InputError, match="GPU 1"):
        Sim(gpu="0,1").check(experiment)


def test_a_file_is_no_workspace(small_experiment: Callable[..., Experiment], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"--workspace {tmp_path / 'file'} cannot be made"):
        Sim(workspace=tmp_path / "file").check_machine(small_experiment())
    Sim(workspace=tmp_path / "new").check_machine(small_experiment())


@pytest.mark.parametrize(
    ("gpus", "sim", "said"),
    [
        (0, Sim(), "2 sites at once, on the CPU"),
        (0, Sim(gpu="0"), "this machine has no GPU, so --gpu 0 is not used"),
        (2, Sim(), "2 sites at once, on GPU 0"),
        (2, Sim(gpu="1"), "on GPUs 1,1"),
        (2, Sim(gpu="0", threads=1, allow_restart=True), "1 site at once, on GPUs 0"),
    ],
)
def test_the_summary_says_where_the_sites_run(
    small_experiment: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch, gpus: int, sim: Sim, said: str
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert sim.statement(small_experiment()).endswith(said)


class Told(subprocess.Popen[bytes]):
    """A process of which there are records and a log as soon as somebody looks after it."""

    def __init__(self, program: str, texts: dict[Path, str]) -> None:
        super().__init__([sys.executable, "-c", program], start_new_session=True)
        self.texts = texts

    def poll(self) -> int | None:
        while self.texts:
            path, text = self.texts.popitem()
            with path.open("a") as file:
                file.write(text)
        return super().poll()


class Seen:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.rounds: list[int] = []
        self.steps: list[Mapping[str, Steps]] = []

    def record(self, record: dict[str, Any]) -> None:
        self.rounds.append(record["round"])

    def progress(self, steps: Mapping[str, Steps]) -> None:
        self.steps.append(steps)


FINAL = '{"round": 1, "final": true}\n'
DEATH = "ERROR - Subprocess died for client site-2, exit code: -9\n"


@pytest.fixture
def follow(tmp_path: Path, small_experiment: Callable[..., Experiment]) -> Callable[..., Seen]:
    """Follows a process; after the last record the scores of a cross-site evaluation are awaited."""

    def followed(
        *,
        answered: bool = True,
        report: str = "",
        program: str = "",
        records: str = FINAL,
        log: str = "",
        spares: bool = False,
        cross_site: bool = True,
    ) -> Seen:
        folder, server, reports = RunFolder.create(tmp_path, "run"), tmp_path / "server", tmp_path / "reports"
        (folder.path / LOG).write_text(DEATH)  # of an earlier part of the run
        earlier = folder.path / SITES / SERVER / RECORDS
        for path in (earlier, server / RECORDS, server / CROSS_SITE_RESULTS, reports / "site-1.steps"):
            path.parent.mkdir(parents=True, exist_ok=True)
        earlier.write_text('{"round": 0}\n{"round": 1}\n{"rou')
        (reports / "site-1.steps").write_text("1 2")
        if answered:
            (server / CROSS_SITE_RESULTS).touch()
        if report:
            (reports / "site-2.error").write_text(report)
        tree = ProcessTree(Told(program, {server / RECORDS: records, folder.path / LOG: log}))
        experiment, seen = small_experiment(*(["--cross_site"] if cross_site else [])), Seen()
        try:
            FollowedSimulation(tree, server, folder, reports, experiment, seen).follow(spares=spares)
        finally:
            tree.end()
        return seen

    return followed


Follow = Callable[..., Seen]


def test_a_run_has_ended_when_what_is_awaited_after_the_last_record_is_there(follow: Follow) -> None:
    assert follow(answered=True).rounds == [1]  # and no record of an earlier part of the run


def test_without_a_cross_site_evaluation_it_has_ended_with_the_last_record(follow: Follow) -> None:
    assert follow(answered=False, cross_site=False).rounds == [1]


def test_the_steps_of_the_sites_are_handed_on(follow: Follow) -> None:
    assert follow().steps[0] == {"site-1": Steps(1, 2)}


def test_a_run_that_ends_without_it_has_failed(follow: Follow) -> None:
    with pytest.raises(RunFailed, match="its log is"):
        follow(answered=False)


def test_a_site_that_failed_after_the_last_record_is_told(follow: Follow) -> None:
    with pytest.raises(RunFailed, match="site-2 failed: no memory"):
        follow(answered=True, report="no memory")


def test_a_run_is_ended_when_a_site_dies_that_it_needs(follow: Follow) -> None:
    with pytest.raises(RunFailed, match="The process of site-2 died without a word"):
        follow(program="import time; time.sleep(60)", records="", log=DEATH)


def test_a_run_goes_on_without_a_site_that_it_can_spare(follow: Follow) -> None:
    assert follow(program="import time; time.sleep(0.5)", log=DEATH, spares=True).rounds == [1]


def test_a_run_that_ends_early_has_failed_also_where_it_can_spare_a_site(follow: Follow) -> None:
    with pytest.raises(RunFailed, match="The process of site-2 died"):
        follow(records='{"round": 0}\n', log=DEATH, spares=True)


REFUSAL = "No update of this round could be used (site-1: it holds NaN); the global model stays as it was."


@pytest.mark.parametrize(
    ("log", "report", "words"),
    [
        (f"...\n{REFUSAL}\n...\n", "", REFUSAL),
        (f"{REFUSAL}\n{DEATH}", "", "The process of site-2 died without a word"),
        (DEATH, "x.nii.gz cannot be read", "site-2 failed: x.nii.gz cannot be read"),
        (f"{NO_ROUND} round 2 needs 2 usable updates and has 1.\n{DEATH}", "", f"{NO_ROUND} round 2 needs 2"),
        ("nothing\n", "", "FLARE ended the job before its last round; its log is "),
    ],
)
def test_the_reason_of_a_failure_is_the_first_sites_own_words(
    follow: Follow, log: str, report: str, words: str
) -> None:
    with pytest.raises(RunFailed) as caught:
        follow(records="", log=log, report=report, cross_site=False)
    assert words in str(caught.value)
