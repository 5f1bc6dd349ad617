"""The run folder: the lasting files of a run, whatever its environment. Numbered, never overwritten."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmed.core.errors import InputError
from fedmed.core.files import write_whole
from fedmed.core.lines import append_json_line, json_lines
from fedmed.core.names import (
    BEST,
    BEST_FILE,
    BEST_OWN,
    CROSS_SITE,
    CROSS_SITE_RESULTS,
    EVENTS,
    HISTORY,
    LAST,
    LAST_FILE,
    LAST_OWN,
    LOG,
    OWN,
    PROGRESS,
    RECORDS,
    SERVER,
    SITES,
    STATE,
)
from fedmed.core.site_scores import EPOCHS
from fedmed.core.weights import load_weights, save_weights
from fedmed.data.audit.duplicates_exchange import OVERLAPS
from fedmed.experiment import Experiment
from fedmed.runs.history import epochs_of, rows

if TYPE_CHECKING:
    import pandas as pd

FORMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "status": ("an object", ("status", "reason")),
    "environment": (
        "an object",
        ("packages", "system", "python", "cpu", "cores", "memory_gib", "gpus", "commit", "command"),
    ),
    "dataset_stats": ("an object of objects", ("training", "validation")),
    "dataset_splits": ("an object of objects", ("training", "validation")),
    "dataset_overlap": ("an object", ()),
    "model_meta": ("an object", ()),
    "job": ("an object", ("id",)),
    PROGRESS: ("an object", ("round", "sites")),
    HISTORY: ("a list of objects", ("round", "site")),
}
"""The JSON files of a run: what each holds, and which keys its objects have at least."""

RECORD_KEYS = ("round", "seconds", "best", "sites")
"""The keys that each of the server's records has at least."""


class RunFolder:
    """Reads and writes one run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, root: Path, name: str) -> RunFolder:
        """Make ``root/name-001``, or the next number that is free.

        Raises:
            InputError: the folder cannot be made.
        """
        try:
            root.mkdir(parents=True, exist_ok=True)
            used = [int(m[1]) for p in root.iterdir() if (m := re.fullmatch(rf"{re.escape(name)}-(\d+)", p.name))]
            number = max(used, default=0) + 1
            while True:  # another run may take a number between the look and the making
                try:
                    path = root / f"{name}-{number:03d}"
                    path.mkdir()
                    return cls(path.absolute())
                except FileExistsError:
                    number += 1
        except OSError as error:
            raise InputError(f"No run folder can be made in {root} ({error}); choose another place.") from error

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run.

        Raises:
            InputError: ``path`` is no run folder.
        """
        if not (path / "experiment.json").is_file():
            raise InputError(f"{path} holds no experiment.json; expected a run folder such as artifacts/run-001.")
        return cls(path)

    @staticmethod
    def labels(paths: Sequence[Path]) -> list[str]:
        """The runs' names, with as many of the folders above as tell apart those that have one name."""
        parts = [path.resolve().parts for path in paths]
        ends = {p: next((n for n in range(1, len(p)) if [q[-n:] for q in parts].count(p[-n:]) == 1), 1) for p in parts}
        return ["/".join(p[-ends[p] :]) for p in parts]

    @property
    def name(self) -> str:
        return self.path.name

    def write_text(self, name: str, text: str) -> None:
        """Write a file, whole or not at all."""
        write_whole(self.path / name, text.encode())

    def write_json(self, name: str, document: Any) -> None:
        """Write ``name.json``, whole or not at all."""
        self.write_text(f"{name}.json", json.dumps(document, indent=2) + "\n")

    def read_json(self, name: str) -> Any:
        """Read ``name.json``.

        Raises:
            InputError: it is not there, is no JSON or not of the form that :data:`FORMS` states.
        """
        path = self.path / f"{name}.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({error}); expected the folder of a finished run.") from error
        form, keys = FORMS.get(name, ("", ()))
        if form and not _is_of(content, form, keys):
            detail = f" with {', '.join(keys)}" if keys else ""
            raise InputError(f"{path} is not as a run leaves it; expected {form}{detail}: take the file from a copy.")
        return content

    @property
    def status(self) -> str:
        """``running``, ``finished`` or ``failed``, as far as the folder says."""
        known = (self.path / "status.json").is_file()
        return str(self.read_json("status")["status"]) if known else "of unknown status"

    def write_experiment(self, experiment: Experiment) -> None:
        self.write_text("experiment.json", experiment.to_json())

    def experiment(self) -> Experiment:
        """The experiment that ran.

        Raises:
            InputError: its file cannot be read.
        """
        return Experiment.from_json(json.dumps(self.read_json("experiment")), str(self.path / "experiment.json"))

    def write_status(self, status: str, reason: str = "", attack: str = "") -> None:
        """``running``, ``finished`` or ``failed``, with the reason of a failure, and the attack on a run under one.

        The progress of before is forgotten.
        """
        self.write_json("status", {"status": status, "reason": reason, **({"attack": attack} if attack else {})})
        (self.path / f"{PROGRESS}.json").unlink(missing_ok=True)

    def begin_records(self) -> None:
        """Begin the file of records anew; the server hands on those of an earlier part of the run again."""
        (self.path / RECORDS).write_text("", encoding="utf-8")

    def add_record(self, record: Mapping[str, Any]) -> None:
        """Append the server's record of a round."""
        append_json_line(self.path / RECORDS, record)

    def records(self) -> list[dict[str, Any]]:
        """The server's records of the rounds; none of a run of an earlier version.

        Raises:
            InputError: the file is not as a run leaves it.
        """
        path = self.path / RECORDS
        try:
            found = json_lines(path)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({error}); take the file from a copy.") from error
        if not _is_of(found, "a list of objects", RECORD_KEYS):
            raise InputError(
                f"{path} is not as a run leaves it; expected an object a line with {', '.join(RECORD_KEYS)}."
            )
        return found

    def write_history(self) -> None:
        """Make the history of the records, a row a round and site, as JSON and, without the epochs, as CSV."""
        self.write_json(HISTORY, rows(self.records()))
        self.write_text(f"{HISTORY}.csv", self.history().to_csv(index=False))

    def history(self) -> pd.DataFrame:
        """The history as a table with the columns round, site and whatever the sites reported; of a run that goes on
        too.

        Raises:
            InputError: the run has none.
        """
        import pandas as pd

        return pd.DataFrame(self._rows()).drop(columns=EPOCHS, errors="ignore")

    def epochs(self) -> pd.DataFrame:
        """The history of local epochs as a table with the columns round, site, epoch and the figures of the epoch.

        Raises:
            InputError: the run has no history.
        """
        import pandas as pd

        return pd.DataFrame(epochs_of(self._rows()))

    def _rows(self) -> list[dict[str, Any]]:
        made = rows(self.records())
        return made or list(self.read_json(HISTORY))  # of a run of an earlier version

    @property
    def trained_on(self) -> str:
        """The dataset in words; empty where the folder does not say it."""
        known = (self.path / "model_meta.json").is_file()
        return str(self.read_json("model_meta").get("trained_on", "")) if known else ""

    def usual_model(self) -> str:
        """``best``, but ``last`` of a run whose scores did not leave the sites, so that no best one was chosen."""
        chosen = (self.path / BEST).is_file() or not self.experiment().privacy.withholds_metrics
        return "best" if chosen else "last"

    def local_models(self, which: str) -> dict[str, Path]:
        """Each site's own ``best`` or ``last`` model, of a run whose scores are of these; else empty.

        Args:
            which: :data:`fedmed.core.names.OWN` gives the sites' own models of every run that has some.
        """
        names = {"best": [BEST_OWN], "last": [LAST_OWN], OWN: [LAST_OWN, BEST_OWN]}.get(which, [])
        paths = [path for name in names for path in self.path.glob(f"{SITES}/*/{name}")]
        if not paths:
            return {}
        algorithm = self.experiment().algorithm
        if not (algorithm.has_own_models if which == OWN else algorithm.scores_own):
            return {}
        return dict(sorted({path.parent.name: path for path in paths}.items()))

    def set_log_aside(self) -> None:
        """Number the log of a part of the run that is over, so that the next part's log says nothing of it."""
        log = self.path / LOG
        if log.is_file():
            number = 1 + len(list(self.path.glob("training-*.log")))
            log.rename(log.with_name(f"training-{number}.log"))

    def forget_states(self) -> None:
        """Remove what the server and the sites kept to go on with, since the run is over."""
        for path in (self.path / SITES / SERVER, *self.path.glob(f"{SITES}/*/{STATE}")):
            shutil.rmtree(path, ignore_errors=True)
        for folder in (*self.path.glob(f"{SITES}/*"), self.path / SITES):
            with contextlib.suppress(OSError):  # what is not empty stays
                folder.rmdir()

    def collect(self, server: Path, *, global_model: bool = True) -> None:
        """Take what is of value out of the server's folder: models, comparisons, cross-site scores, events.

        Args:
            global_model: whether the server's models are a result; they are left where they are otherwise.
        """
        pairs = {BEST_FILE: BEST, LAST_FILE: LAST}
        for theirs, ours in pairs.items() if global_model else ():
            source = server / "app_server" / theirs
            if source.is_file():
                save_weights(load_weights(source), self.path / ours)
        if (server / OVERLAPS).is_file():
            shutil.copy(server / OVERLAPS, self.path)
        scores = (
            (server / CROSS_SITE_RESULTS).read_text(encoding="utf-8") if (server / CROSS_SITE_RESULTS).is_file() else ""
        )
        if scores.strip() not in ("", "{}"):  # FLARE leaves an empty object where nothing was scored
            self.write_text(f"{CROSS_SITE}.json", scores)
        if (server / EVENTS).is_dir():
            shutil.copytree(server / EVENTS, self.path / EVENTS, dirs_exist_ok=True)


def _is_of(content: Any, form: str, keys: Sequence[str]) -> bool:
    """True where JSON values are of one of the forms of :data:`FORMS`."""
    objects = [content]
    if form == "an object of objects":
        objects = [content, *content.values()] if isinstance(content, dict) else [None]
    if form == "a list of objects":
        objects = content if isinstance(content, list) else [None]
    whole = objects[1:] if form == "an object of objects" else objects
    return all(isinstance(each, dict) for each in objects) and all(set(keys) <= set(each) for each in whole)
