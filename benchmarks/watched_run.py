"""One run of job.py, watched from outside: seconds a round, start-up, memory of all processes, how busy a GPU is."""

import contextlib
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from fedmed.core.cli import echo
from fedmed.core.errors import RunFailed
from fedmed.core.process_memory import memory_of
from fedmed.runs.history import rows
from fedmed.runs.run_folder import RunFolder

HERE = Path(__file__).resolve().parent
LOOK_S = 1.0  # a look reads all of /proc; more of them would slow down what is watched
GPU_QUERY = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]


@dataclass
class Watched:
    """The time and memory of a run.

    Memory is that of all processes, in bytes; what they share counts once (PSS), and so do the files that they map. A
    round that passes between two looks has that of the later one.
    """

    startup_s: float = 0.0
    round_s: list[float] = field(default_factory=list)
    dice: list[float | None] = field(default_factory=list)  # of the model after 0, 1, 2, ... rounds; None: not scored
    peak: int = 0
    peak_by_round: list[int] = field(default_factory=list)
    gpu_busy: list[float] = field(default_factory=list)  # percent, one value a look
    gpu_peak_mib: float = 0.0  # of all that use the GPU

    @property
    def usual_round_s(self) -> float:
        """The median over the rounds after the first, in which sites start up."""
        return median(self.round_s[1:] or self.round_s)


def watch(arguments: Sequence[object], artifacts: Path, key_metric: str = "val_dice") -> Watched:
    """Run job.py to its end.

    Raises:
        RunFailed: the run failed.
    """
    command = [sys.executable, str(HERE.parent / "job.py"), *map(str, arguments), "--artifacts", str(artifacts)]
    began, seen = time.time(), Watched()
    with (artifacts / "output.txt").open("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            _look(process.pid, artifacts, seen, began)
            time.sleep(LOOK_S)
        output.seek(0)
        if process.returncode != 0:
            words = output.read()
            echo(words, sys.stderr)
            raise RunFailed(f"{shlex.join(command)} ended with exit code {process.returncode}; its output is above.")
    history = _history(artifacts)
    seen.round_s = _by_round(history, "round_seconds")[1:]
    seen.startup_s = seen.startup_s or time.time() - began - sum(seen.round_s)
    seen.dice = _scores(history, key_metric)
    return seen


def _look(pid: int, artifacts: Path, seen: Watched, began: float) -> None:
    memory = memory_of(pid)
    seen.peak = max(seen.peak, memory)
    seconds = _by_round(_history(artifacts), "round_seconds")
    done = len(seconds) - 1
    seen.peak_by_round += [memory] * (done + 1 - len(seen.peak_by_round))
    seen.peak_by_round[done] = max(seen.peak_by_round[done], memory)
    if done >= 1 and not seen.startup_s:
        seen.startup_s = time.time() - began - sum(seconds[1:])
    if done >= 1:
        with contextlib.suppress(OSError, ValueError, IndexError):
            busy, used = subprocess.run(GPU_QUERY, capture_output=True, text=True).stdout.splitlines()[0].split(",")
            seen.gpu_busy.append(float(busy))
            seen.gpu_peak_mib = max(seen.gpu_peak_mib, float(used))


def _history(artifacts: Path) -> list[dict[str, Any]]:
    """The rows of the only run in a folder, as far as it has come; none before its first round."""
    for path in artifacts.glob("*/experiment.json"):
        return rows(RunFolder(path.parent).records())
    return []


def _by_round(history: list[dict[str, Any]], column: str) -> list[float]:
    """The first site's value for each round from 0 on, 0 where there is none."""
    found = {int(row["round"]): row[column] for row in reversed(history) if row.get(column) is not None}
    return [found.get(number, 0.0) for number in range(max(found, default=0) + 1)]


def _scores(history: list[dict[str, Any]], metric: str) -> list[float | None]:
    """The mean over all values by round, as the run's own summary has it."""
    scores: list[float | None] = []
    for number in range(int(max(row["round"] for row in history)) + 1):
        scored = [row for row in history if row["round"] == number and row.get(metric) is not None]
        values = [row[f"{metric}_values"] for row in scored]
        total = sum(row[metric] * count for row, count in zip(scored, values, strict=True))
        scores.append(total / sum(values) if sum(values) else None)
    return scores
