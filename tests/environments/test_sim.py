"""The simulator's environment: paths that its command lines do not split, logs read by whole lines, its checks."""

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nvflare.private.fed.app.simulator import simulator_runner

from fedmed.core.errors import InputError, RunFailed
from fedmed.environments.process_tree import ProcessTree
from fedmed.environments.sim import _DEAD_WORKER, Sim, _reason, _Tail
from fedmed.experiment import Experiment


def test_the_tail_gives_whole_lines_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = _Tail(path)
    assert tail.new_lines() == []
    path.write_bytes(b"one\ntw")
    assert tail.new_lines() == ["one"]
    assert tail.new_lines() == []
    with path.open("ab") as file:
        file.write(b"o\n\xc3")
        file.flush()
        assert tail.new_lines() == ["two"]
        file.write(b"\xbc\n\xff\n")
    assert tail.new_lines() == ["ü", "\ufffd"]


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


def test_the_reason_of_a_failure_is_the_first_sites_own_words(tmp_path: Path) -> None:
    log = tmp_path / "training.log"
    log.write_text("...\nNo update of this round could be used (site-1: it holds NaN); stays.\n...")
    assert "site-1: it holds NaN" in _reason(None, tmp_path, log)
    assert "site-2" in _reason("site-2", tmp_path, log)
    (tmp_path / "site-3.error").write_text("x.nii.gz cannot be read")
    assert _reason("site-2", tmp_path, log) == "site-3 failed: x.nii.gz cannot be read"


def test_without_any_trace_the_reason_points_to_the_log(tmp_path: Path) -> None:
    (tmp_path / "training.log").write_text("nothing\n")
    assert str(tmp_path / "training.log") in _reason(None, tmp_path, tmp_path / "training.log")


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
        Sim(workspace=tmp_path / "file").check(small_experiment())
    Sim(workspace=tmp_path / "new").check(small_experiment())


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
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpus > 0)
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


FINAL = '{"round": 1, "final": true}\n'
DEATH = "ERROR - Subprocess died for client site-2, exit code: -9\n"


def follow(
    tmp_path: Path,
    *,
    answered: bool = True,
    report: str = "",
    program: str = "",
    records: str = FINAL,
    log: str = "",
    spared: bool = False,
) -> list[dict[str, Any]]:
    """Follow a process; after the last record a file is awaited that is there or is not."""
    (tmp_path / "log").write_text(DEATH)  # of an earlier part of the run
    (tmp_path / "reports").mkdir()
    if answered:
        (tmp_path / "answers").touch()
    if report:
        (tmp_path / "reports" / "site-2.error").write_text(report)
    process = Told(program, {tmp_path / "records": records, tmp_path / "log": log})
    tree, seen = ProcessTree(process), []
    places = (tmp_path / "records", tmp_path / "log", tmp_path / "reports")
    try:
        Sim()._follow(tree, *places, seen.append, tmp_path / "answers", spared)
    finally:
        tree.end()
    return seen


def test_a_run_has_ended_when_what_is_awaited_after_the_last_record_is_there(tmp_path: Path) -> None:
    assert [record["round"] for record in follow(tmp_path, answered=True)] == [1]


def test_a_run_that_ends_without_it_has_failed(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="its log is"):
        follow(tmp_path, answered=False)


def test_a_site_that_failed_after_the_last_record_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="site-2 failed: no memory"):
        follow(tmp_path, answered=True, report="no memory")


def test_a_run_is_ended_when_a_site_dies_that_it_needs(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="The process of site-2 died without a word"):
        follow(tmp_path, program="import time; time.sleep(60)", records="", log=DEATH)


def test_a_run_goes_on_without_a_site_that_it_can_spare(tmp_path: Path) -> None:
    program = "import time; time.sleep(0.5)"
    assert [record["round"] for record in follow(tmp_path, program=program, log=DEATH, spared=True)] == [1]


def test_a_run_that_ends_early_has_failed_also_where_it_can_spare_a_site(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="The process of site-2 died"):
        follow(tmp_path, records='{"round": 0}\n', log=DEATH, spared=True)
