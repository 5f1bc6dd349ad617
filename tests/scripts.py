"""Scripts as a user starts them, each in a process of its own, without waiting for their libraries again.

The process is forked from one that has imported the libraries, and nothing of this project, and that has no threads; in
it the script's file is run from its first line. What depends on a cold start is tested with ``subprocess`` instead.
"""

import os
import re
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing import forkserver, popen_forkserver
from multiprocessing.context import ForkServerProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[1]

_server = forkserver.ForkServer()
"""Apart from the one of this process, whose children have what a pool of workers needs: this project among it."""

_server.set_forkserver_preload(
    [
        *("monai", "nvflare.recipe", "nvflare.client", "nvflare.app_opt.pt", "nvflare.app_opt.tracking.tb.tb_receiver"),
        *("matplotlib.figure", "matplotlib.backends.backend_agg", "pandas", "scipy.stats"),
        "tensorboard.backend.event_processing.event_accumulator",
    ]
)
_starting = Lock()


def run(
    script: Path, *arguments: object, cwd: Path, variables: Mapping[str, str] = os.environ, timeout: float = 400
) -> subprocess.CompletedProcess[str]:
    """Run a script to its end.

    Args:
        cwd: the folder that it is started in.
        variables: its whole environment.
        timeout: after how many seconds it is killed.

    Raises:
        subprocess.TimeoutExpired: it was.
    """
    with tempfile.TemporaryDirectory() as place:
        shown = Path(place, "stdout"), Path(place, "stderr")
        process = begin(script, *arguments, cwd=cwd, variables=variables, shown=shown)
        process.join(timeout)
        command = [str(script), *map(str, arguments)]
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(command, timeout)
        return subprocess.CompletedProcess(command, process.exitcode, *(as_shown(path.read_text()) for path in shown))


def as_shown(text: str) -> str:
    """A text as a terminal shows it: what a bar wrote on a line and then wrote over is gone."""
    return re.sub(r"[^\n]*\r", "", text)


def begin(
    script: Path, *arguments: object, cwd: Path, variables: Mapping[str, str], shown: tuple[Path, Path]
) -> BaseProcess:
    """Start a script whose output and errors go to these two files, or to one that is given twice."""
    command = [str(script), *map(str, arguments)]
    process = ForkServerProcess(target=_run, args=(command, cwd, dict(variables), shown))
    with _starting, patch.object(popen_forkserver.forkserver, "connect_to_new_process", _server.connect_to_new_process):
        process.start()
    return process


def _run(command: list[str], cwd: Path, variables: dict[str, str], shown: tuple[Path, Path]) -> None:
    for number, path in enumerate(shown, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = command
    tests_own = {"", str(ROOT), str(ROOT / "src")}
    sys.path[:] = [str(Path(command[0]).parent), *(path for path in sys.path if path not in tests_own)]
    runpy.run_path(command[0], run_name="__main__")
