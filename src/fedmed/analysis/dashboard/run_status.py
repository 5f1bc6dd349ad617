"""The state of a run: what its folder says, held against whether a process still has it."""

import json
from pathlib import Path
from typing import Literal, NamedTuple

from fedmed.core import locks

Word = Literal["running", "finished", "failed", "interrupted", "of unknown status"]


class RunStatus(NamedTuple):
    """A run's state and, of a failure, the reason."""

    word: Word
    reason: str = ""

    @property
    def goes_on(self) -> bool:
        return self.word == "running"


def status_of(run: Path) -> RunStatus:
    """The state of a run folder. ``interrupted``: it says running, and nobody holds its lock any more."""
    try:
        found = json.loads((run / "status.json").read_text(encoding="utf-8"))
        word, reason = str(found["status"]), str(found.get("reason", ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return RunStatus("of unknown status")
    if word == "running":
        return RunStatus("running" if locks.is_held(run) else "interrupted")
    if word == "finished":
        return RunStatus("finished")
    return RunStatus("failed", reason) if word == "failed" else RunStatus("of unknown status")
