"""What the server keeps so that a run can go on after whatever end: written after every round, whole or not at all."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmed.core.errors import InputError
from fedmed.core.files import write_whole

STATE = "checkpoint.json"
FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """A run after its last completed round.

    Attributes:
        rounds: how many are completed.
        last: the file of the model that they made.
        best: that of the best model; None where none was chosen.
        best_score: its score, by which the server compares.
        records: the server's records of the rounds.
        events: the folder of the TensorBoard events so far.
    """

    rounds: int
    last: Path
    best: Path | None
    best_score: float | None
    records: list[dict[str, Any]]
    events: Path


class Checkpoints:
    """The one checkpoint of a run, in a folder of its own; each replaces the one before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def hold(self) -> None:
        """Keep other jobs of the same run away, as long as this process lives.

        Raises:
            RuntimeError: one is at work.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._held = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RuntimeError("Another job of this run is at work; wait for its end, or abort it.") from error

    def save(
        self,
        last: Path,
        best: tuple[Path, float, int] | None,
        records: Sequence[Mapping[str, Any]],
        events: Path,
    ) -> None:
        """Keep the state after as many rounds as there are records; files of models are linked, not copied.

        Args:
            best: the file of the best model, its score, and after how many rounds it was made.

        Raises:
            OSError: it cannot be written; the earlier checkpoint is untouched.
        """
        rounds = len(records)
        self.folder.mkdir(parents=True, exist_ok=True)
        names = {"last": self._keep(last, f"after-{rounds}.pt"), "best": None}
        if best is not None:
            names["best"] = self._keep(best[0], f"best-{best[2]}.pt")
        content: dict[str, Any] = {"format": FORMAT, "rounds": rounds, **names, "best_score": best[1] if best else None}
        content |= {"events": str(events), "records": list(records)}
        write_whole(self.folder / STATE, json.dumps(content).encode())
        for path in (*self.folder.glob("*.pt"), *self.folder.glob(".*.part")):  # the latter of a server that was killed
            if path.name not in names.values():
                path.unlink()

    def _keep(self, source: Path, name: str) -> str:
        """FLARE replaces its files and does not write into them, so a second name keeps what the first had."""
        target, part = self.folder / name, self.folder / f".{name}.part"
        part.unlink(missing_ok=True)
        try:
            os.link(source, part)
        except OSError:  # another file system
            shutil.copy(source, part)
        os.replace(part, target)
        part.unlink(missing_ok=True)  # replacing a link to the same file does nothing
        return name

    def load(self) -> Checkpoint | None:
        """The state to go on from; None where no round was completed.

        Raises:
            InputError: it was damaged.
        """
        path = self.folder / STATE
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            kept = Checkpoint(
                rounds=int(content["rounds"]),
                last=self.folder / Path(content["last"]).name,
                best=self.folder / Path(content["best"]).name if content["best"] else None,
                best_score=content["best_score"],
                records=list(content["records"]),
                events=Path(content["events"]),
            )
            whole = content["format"] == FORMAT and len(kept.records) == kept.rounds
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} cannot be read ({error!r:.80}); restore it, or start a new run.") from error
        files = [file for file in (kept.last, kept.best) if file is not None]
        if not whole or not all(file.is_file() for file in files):
            raise InputError(f"{path} and the models beside it do not fit together; restore them, or start a new run.")
        return kept

    def take_over_events(self, checkpoint: Checkpoint, into: Path) -> None:
        """Copy the events of the earlier part of the run, as far as they are still there."""
        if checkpoint.events.is_dir() and checkpoint.events.resolve() != into.resolve():
            with contextlib.suppress(OSError):  # curves come from the records; no run is given up for a picture
                shutil.copytree(checkpoint.events, into, dirs_exist_ok=True)
