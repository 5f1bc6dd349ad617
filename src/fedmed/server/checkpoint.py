"""The state of a run after its last completed round, on the server's disk, whole or not at all."""

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from fedmed.core import locks
from fedmed.core.errors import InputError
from fedmed.core.files import private_folder, write_whole
from fedmed.core.lines import append_json_line, json_lines, write_json_lines
from fedmed.core.names import RECORDS
from fedmed.core.weights import write_tensors
from fedmed.server.round_record import EARLIER, completes_a_round

CHECKPOINT, SUBMITTER = "checkpoint.json", "submitter.json"
FORMAT = 2
"""1 held the records too; such a checkpoint is still read."""


class BestFile(NamedTuple):
    """The file of the best model, its score, and how many rounds made it."""

    path: Path
    score: float
    rounds: int


@dataclass(frozen=True)
class Checkpoint:
    """A run after its last completed round.

    Attributes:
        rounds: how many are completed.
        last: the file of the model that they made.
        best: the best model; None where none was chosen.
        records: the server's records of the rounds.
        events: the folder of the TensorBoard events so far.
        algorithm: the state of the algorithm's server side.
    """

    rounds: int
    last: Path
    best: BestFile | None
    records: list[dict[str, Any]]
    events: Path
    algorithm: dict[str, Any] = field(default_factory=dict)


class Checkpoints:
    """The one checkpoint of a run and the records of its rounds, in a folder of their own.

    A round costs the same number of bytes however many there were: its record is appended, models are linked.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = folder / RECORDS
        self._lock: int | None = None

    def hold(self, submitter: str | None = None) -> None:
        """Keep other jobs of the same run away, until :meth:`release` and no longer than this process lives.

        Args:
            submitter: the user who submitted the job; None where nobody is known, as on one machine, so that nobody is
                asked for.

        Raises:
            RuntimeError: one is at work.
            InputError: another user submitted the run's first job.
        """
        private_folder(self.folder)
        self._lock = locks.taken(self.folder / locks.LOCK, 0o600)
        if self._lock is None:
            raise RuntimeError("Another job of this run is at work; wait for its end, or abort it.")
        try:
            self._claim(submitter) if submitter is not None else None
        except InputError:
            self.release()
            raise

    def _claim(self, submitter: str) -> None:
        """Note who submitted the run's first job, and let no job of anybody else go on with it."""
        path = self.folder / SUBMITTER
        if not path.exists():
            write_whole(path, json.dumps({"submitter": submitter}).encode())
            return
        try:
            owner = json.loads(path.read_text(encoding="utf-8"))["submitter"]
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise InputError(f"{path} cannot be read ({error!r:.80}); restore it, or start a new run.") from error
        if owner != submitter:
            raise InputError(
                f"This run was begun by {owner} and the job is of {submitter}; only {owner} can go on with it: start a "
                "new run."
            )

    def release(self) -> None:
        """Let other jobs of the run begin."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def begin(self, earlier: Checkpoint | None) -> None:
        """Begin the file of records with those of an earlier job of the run, marked as such."""
        write_json_lines(self.records, [{**record, EARLIER: True} for record in earlier.records] if earlier else [])

    def add(self, record: Mapping[str, Any]) -> None:
        """Append the record of a round, of a failed one, or of the final scoring."""
        append_json_line(self.records, record)

    def save(
        self, rounds: int, last: Path, best: BestFile | None, events: Path, algorithm: Mapping[str, Any] | None = None
    ) -> None:
        """Keep the state after ``rounds`` rounds; files of models are linked, not copied.

        Raises:
            OSError: it cannot be written; the earlier checkpoint is untouched.
        """
        names: dict[str, str | None] = {"last": self._link(last, f"after-{rounds}.pt"), "best": None, "algorithm": None}
        if best is not None:
            names["best"] = self._link(best.path, f"best-{best.rounds}.pt")
        if algorithm:
            write_tensors(self.folder / f"algorithm-{rounds}.pt", algorithm)
            names["algorithm"] = f"algorithm-{rounds}.pt"
        content: dict[str, Any] = {"format": FORMAT, "rounds": rounds, **names, "events": str(events)}
        content |= {"best_score": best.score, "best_rounds": best.rounds} if best else {}
        write_whole(self.folder / CHECKPOINT, json.dumps(content).encode())
        for path in (*self.folder.glob("*.pt"), *self.folder.glob(".*.part")):  # the latter of a server that was killed
            if path.name not in names.values():
                path.unlink()

    def _link(self, source: Path, name: str) -> str:
        """FLARE replaces its files and does not write into them, so a second name keeps what the first had."""
        target, part = self.folder / name, self.folder / f".{name}.part"
        part.unlink(missing_ok=True)
        try:
            os.link(source, part)
        except OSError:  # another file system
            shutil.copy(source, part)
        part.chmod(0o600)  # with it the file that it is a link to
        os.replace(part, target)
        part.unlink(missing_ok=True)  # replacing a link to the same file does nothing
        return name

    def load(self) -> Checkpoint | None:
        """The state to go on from; None where no round was completed.

        Raises:
            InputError: it was damaged.
        """
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found = self._checkpoint(content)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise InputError(f"{path} cannot be read ({error!r:.80}); restore it, or start a new run.") from error
        files = [found.last, *([found.best.path] if found.best else [])]
        whole = content["format"] in (1, FORMAT) and len(found.records) == found.rounds
        if not whole or not all(file.is_file() for file in files):
            raise InputError(f"{path} and the models beside it do not fit together; restore them, or start a new run.")
        return found

    def _checkpoint(self, content: Mapping[str, Any]) -> Checkpoint:
        rounds = int(content["rounds"])
        records = content["records"] if content["format"] == 1 else json_lines(self.records)
        records = [record for record in records if completes_a_round(record)][:rounds]
        return Checkpoint(
            rounds,
            self._named(content["last"]),
            self._best(content, records),
            records,
            Path(content["events"]),
            self._algorithm(content.get("algorithm")),
        )

    def _best(self, content: Mapping[str, Any], records: list[dict[str, Any]]) -> BestFile | None:
        if not content["best"] or content["best_score"] is None:
            return None
        made = content.get("best_rounds", [record["round"] for record in records if record["best"]][-1:])
        return BestFile(self._named(content["best"]), content["best_score"], made if isinstance(made, int) else made[0])

    def _algorithm(self, name: str | None) -> dict[str, Any]:
        if name is None:
            return {}
        try:
            state: dict[str, Any] = torch.load(self._named(name), map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds
            raise ValueError(f"{name} holds no state of an algorithm") from error
        return state

    def _named(self, name: str) -> Path:
        return self.folder / Path(name).name

    def take_over_events(self, checkpoint: Checkpoint, into: Path) -> None:
        """Copy the events of the earlier part of the run, as far as they are still there."""
        if checkpoint.events.is_dir() and checkpoint.events.resolve() != into.resolve():
            with contextlib.suppress(OSError):  # curves come from the records; no run is given up for a picture
                shutil.copytree(checkpoint.events, into, dirs_exist_ok=True)
