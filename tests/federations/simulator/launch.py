"""Starting job.py as a user does: a process of its own, in a folder and with an environment of the test's."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

from tests import scripts

ROOT = scripts.ROOT


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "job.py"), *map(str, arguments)]


def variables(**more: str) -> dict[str, str]:
    own = ("DATASET_ROOT", "DATALIST_ROOT", "CACHE_ROOT", "DUPLICATES_KEY", "PRIVACY_POLICY")
    clean = {name: value for name, value in os.environ.items() if name not in own}
    return {**clean, **more}


def run(cwd: Path, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    """Run job.py to its end; run folders go to ``cwd/artifacts``."""
    own = ("--artifacts", cwd / "artifacts")
    return scripts.run(ROOT / "job.py", *arguments, *own, cwd=cwd, variables=variables(**more))


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


def processes_of(word: str) -> list[psutil.Process]:
    """The processes whose command line holds ``word``."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if word in " ".join(process.info["cmdline"] or []):
            found.append(process)
    return found
