"""Runs of job.py in the test's own process, which has the toy task and the toy algorithm too; the workers of a pool are
processes of their own, forked from one that has imported all they need. A run takes about a second.
"""

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

import fedmed.algorithms
import fedmed.tasks
import job
from fedmed.core.cli import run_script
from fedmed.environments.worker_pool import fork_server
from fedmed.runs import single_run
from fedmed.runs.run_folder import RunFolder
from fedmed.runs.run_monitor import RunMonitor
from tests.federations import launch

fork_server.LIBRARIES = (*fork_server.LIBRARIES, "tests.toy_beside")

TOY = Path(__file__).parents[1] / "toy"
PLACES = {fedmed.tasks: ("toy_task", TOY), fedmed.algorithms: ("toy_algorithm", TOY / "algorithm")}


class Ended(NamedTuple):
    """A run that has ended, well or not."""

    code: int
    shown: str
    error: str
    folder: RunFolder

    def well(self) -> RunFolder:
        """The folder of a run that must have ended well."""
        assert self.code == 0, self.shown + self.error
        return self.folder

    def refused(self) -> str:
        """The sentence of a run that must not have begun."""
        assert self.code == 2, self.shown + self.error
        assert self.error.count("\n") == 1
        assert not self.folder.path.exists()
        return self.error

    def failed(self) -> str:
        """The sentence of a run that must have begun and not have ended well."""
        assert self.code == 1, self.shown + self.error
        assert self.error.count("\n") == 1
        assert "Traceback" not in self.shown
        assert self.folder.status == "failed"
        return self.error


class Follower:
    """Looks at a run while it goes on; a test overrides what it needs."""

    def record(self, record: Mapping[str, Any]) -> None:
        """A round is over, and the next one has not begun."""

    def look(self) -> None:
        """Called a few times a second while a round goes on."""


def run(place: Path, *arguments: object, follower: Follower | None = None, **variables: str) -> Ended:
    """Run job.py to its end; the run folder is ``place/run-001``, or the one that ``--resume`` names.

    Args:
        variables: of the environment.
    """
    given = [*map(str, arguments)]
    own = [] if "--resume" in given else ["--artifacts", str(place)]
    shown, error = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, plugins(), followed(follower or Follower()):
        for name, value in variables.items():
            patch.setenv(name, value)
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(error):
            code = run_script(job.main, [*given, *own])
    return Ended(code, shown.getvalue(), error.getvalue(), RunFolder(place / "run-001"))


def launched(name: str, arguments: Sequence[str], script: Path, artifacts: Path) -> None:
    """A run of a study in this process, in place of ``study_runs.launch``, which has tests of its own."""
    assert script.samefile(job.__file__)
    code = run_script(job.main, list(arguments))
    assert code == 0, name


def toys(*arguments: object) -> list[object]:
    """The arguments of a pool of two sites that train on the toy task."""
    return ["--task", "toy_task", "--env", "pool", "--n_clients", 2, *arguments]


@contextlib.contextmanager
def plugins() -> Iterator[None]:
    """The toy task and the toy algorithm are found by their names."""
    with pytest.MonkeyPatch.context() as patch:
        for package, (_, folder) in PLACES.items():
            patch.setattr(package, "__path__", [*package.__path__, str(folder)])
        importlib.invalidate_caches()
        yield
    for package, (name, _) in PLACES.items():
        sys.modules.pop(f"{package.__name__}.{name}", None)
        vars(package).pop(name, None)


@contextlib.contextmanager
def followed(follower: Follower) -> Iterator[None]:
    """Whatever runs is followed."""

    class Followed(RunMonitor):
        def record(self, record: dict[str, Any]) -> None:
            super().record(record)
            follower.record(record)

        def progress(self, steps: Mapping[str, Any]) -> None:
            super().progress(steps)
            follower.look()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(single_run, "RunMonitor", Followed)
        yield


class Stalled:
    """A file that blocks whoever reads it, until it is whole again."""

    def __init__(self, path: Path) -> None:
        self.path, self._whole = path, path.read_bytes()
        pipe = path.with_name(f"pipe-{path.name}")
        os.mkfifo(pipe)
        pipe.replace(path)

    @contextlib.contextmanager
    def reader(self) -> Iterator[psutil.Process | None]:
        """The child of this process that reads it and is held there within the block; None where nobody does yet."""
        try:
            pipe = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            yield None
            return
        try:
            launch.until(lambda: self._readers() != [])  # its opening ends a moment after ours
            yield self._readers()[0]
        finally:
            os.close(pipe)

    def kill_reader(self) -> bool:
        """Kill the child of this process that reads it; False where nobody does yet."""
        with self.reader() as process:
            if process is not None:
                process.kill()
                process.wait()
            return process is not None

    def _readers(self) -> list[psutil.Process]:
        return [each for each in psutil.Process().children(recursive=True) if self._is_open_in(each)]

    def _is_open_in(self, process: psutil.Process) -> bool:
        with contextlib.suppress(OSError):
            return any(each.resolve() == self.path for each in Path(f"/proc/{process.pid}/fd").iterdir())
        return False

    def heal(self) -> None:
        """Make it whole again."""
        replace(self.path, self._whole)


def replace(path: Path, content: bytes) -> None:
    """Give a file other content at once."""
    other = path.with_name(f"other-{path.name}")
    other.write_bytes(content)
    other.replace(path)
