"""Starting job.py as a user does: a process of its own, in a folder and with an environment of the test's."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil

from fedmed.core.errors import InputError
from fedmed.runs.run_folder import RunFolder
from tests import scripts

ROOT = scripts.ROOT

PATIENCE_S = 400.0
"""For what must come: many times what it takes, since the machine may be slow and others may work on it."""


def command(*arguments: object, project: Path = ROOT) -> list[str]:
    return [sys.executable, str(project / "job.py"), *map(str, arguments)]


def variables(**more: str) -> dict[str, str]:
    own = ("DATASET_ROOT", "DATALIST_ROOT", "CACHE_ROOT", "DUPLICATES_KEY", "PRIVACY_POLICY")
    clean = {name: value for name, value in os.environ.items() if name not in own}
    return {**clean, **more}


def run(cwd: Path, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    """Run job.py to its end; run folders go to ``cwd/artifacts``."""
    own = ("--artifacts", cwd / "artifacts")
    return scripts.run(ROOT / "job.py", *arguments, *own, cwd=cwd, variables=variables(**more), timeout=PATIENCE_S)


def finished(done: subprocess.CompletedProcess[str], run: Path) -> RunFolder:
    """The folder of a run that must have ended well."""
    assert done.returncode == 0, done.stdout + done.stderr
    return RunFolder.open(run)


def with_toys(copy: Path) -> Path:
    """A copy of the project with the toy task and the toy algorithm beside its own, as whoever adds one would."""
    toy = ROOT / "tests" / "toy"
    for name in ("job.py", "client.py", "model.py"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(toy / "toy_task.py", copy / "src" / "fedmed" / "tasks")
    shutil.copy(toy / "algorithm" / "toy_algorithm.py", copy / "src" / "fedmed" / "algorithms")
    return copy


class Begun:
    """A run of job.py, watched from outside; when the block around it ends, nothing of it is left.

    Args:
        run: the run folder, as it will be.
        project: the copy of the project that is started.
    """

    def __init__(self, run: Path, *arguments: object, project: Path = ROOT) -> None:
        self.folder = RunFolder(run)
        self._said = run.parent / f"said-{time.monotonic_ns()}.txt"
        run.parent.mkdir(parents=True, exist_ok=True)
        shown = (self._said, self._said)
        self.process = scripts.begin(project / "job.py", *arguments, cwd=run.parent, variables=variables(), shown=shown)

    def __enter__(self) -> "Begun":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.is_alive():
            self.cut_off()

    @property
    def said(self) -> str:
        return self._said.read_text() if self._said.exists() else ""

    def wait_for(self, words: str) -> None:
        """Until it has said so."""
        self._wait(lambda: words in self.said, words)

    def wait_for_a_round(self, number: int = 1) -> None:
        self.wait_for_history(lambda history: history["round"].max() >= number, f"round {number}")

    def wait_for_history(self, holds: Callable[[pd.DataFrame], bool], what: str) -> None:
        """Until the history of the rounds so far is such."""
        self._wait(lambda: not self.history.empty and holds(self.history), what)

    @property
    def history(self) -> pd.DataFrame:
        with contextlib.suppress(InputError):
            return self.folder.history()
        return pd.DataFrame()

    def _wait(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, f"{what} did not come: {self.said}"
            assert self.process.is_alive() or holds(), self.said
            time.sleep(0.1)

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def everything(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def worker(self, site: str) -> psutil.Process:
        """The process of a simulated site."""
        return next(each for each in self.everything() if {site, "--client"} <= set(_arguments_of(each)))

    def cut_off(self) -> None:
        """As when the power fails: the launcher and all that it has started are gone at once."""
        doomed = [psutil.Process(self.pid), *self.everything()]
        for process in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(doomed, timeout=30)
        self.process.join()

    def end(self, code: int = 0) -> str:
        """Wait for its own end, with this exit code; its words."""
        self.process.join(PATIENCE_S)
        assert self.process.exitcode == code, self.said
        return self.said


def workers_of(launcher: psutil.Process) -> list[psutil.Process]:
    """The worker processes of a launcher's pool, which another child of it has forked."""
    forks = [child for child in launcher.children() if "multiprocessing.forkserver" in " ".join(_arguments_of(child))]
    return [worker for fork in forks for worker in _children_of(fork)]


def _arguments_of(process: psutil.Process) -> list[str]:
    """A process's command line, empty once it is gone: it may end at any moment while we look at it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def _children_of(process: psutil.Process) -> list[psutil.Process]:
    """A process's children, none once it is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.children()
    return []


def until(holds: Callable[[], bool]) -> None:
    """Wait for what must come."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def processes_with(word: str) -> list[str]:
    """The command lines of the processes, other than this one, whose command line or folder holds ``word``."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and word in " ".join([*process.cmdline(), process.cwd()]):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found
