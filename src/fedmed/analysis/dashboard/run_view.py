"""One run with all that its page shows of it, read once for as long as its files stay as they are."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from fedmed.analysis.dashboard.artifacts_listing import Stamp, stamp_of
from fedmed.analysis.dashboard.case_aliases import CaseAliases, names_of
from fedmed.analysis.dashboard.run_row import evaluations_of
from fedmed.analysis.dashboard.run_status import RunStatus, status_of
from fedmed.analysis.evaluation.evaluation_folder import EVALUATION, EvaluationFolder
from fedmed.core.control_characters import harmless
from fedmed.core.errors import InputError
from fedmed.core.names import HISTORY, LOG, PROGRESS, RECORDS
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.server.round_record import completes_a_round

NAMED = ("dataset_splits.json", "dataset_stats.json")
VIEWED = ("experiment.json", "status.json", RECORDS, f"{HISTORY}.json", *NAMED)

LOG_LINES, LOG_BYTES = 200, 200_000
"""The most of the end of a log that is shown."""


@dataclass(frozen=True)
class RunView:
    """A run folder, opened.

    Attributes:
        cases: numbers of cases by site and split; empty where only the sites know them.
        aliases: the names that no text of the page may show.
    """

    run: RunFolder
    experiment: Experiment
    status: RunStatus
    records: list[dict[str, Any]]
    history: pd.DataFrame  # empty before the first record
    cases: dict[str, dict[str, int]]
    aliases: CaseAliases

    @property
    def sites(self) -> list[str]:
        """The sites of the run, by name."""
        return sorted(self.experiment.training.sites)

    @property
    def evaluations(self) -> list[str]:
        """The names of the finished evaluations, the usual one first."""
        return evaluations_of(self.run)

    def evaluation(self, name: str) -> tuple[EvaluationFolder, CaseAliases]:
        """A finished evaluation by its listed name, and its cases under numbers.

        Raises:
            InputError: there is none of that name, or it cannot be read.
        """
        if name not in self.evaluations:
            raise InputError(f"{self.run.name} has no evaluation of that name; choose one of the list.")
        folder = EvaluationFolder(self.run.path / EVALUATION / name)
        table = folder.cases()
        pairs = set(zip(table["site"], table["case"], strict=True))
        patients = folder.document()["patients"].values()
        return folder, CaseAliases.of(pairs, [*self.aliases.secrets, *map(str, patients)])

    def progress(self) -> dict[str, tuple[int, int]] | None:
        """Each site's steps of the round that goes on, so far and in all; None where nobody has left them."""
        if not self.status.goes_on or not (self.run.path / f"{PROGRESS}.json").is_file():
            return None
        try:
            found = self.run.read_json(PROGRESS)
            sites = {str(site): (int(done), int(of)) for site, (done, of) in found["sites"].items()}
        except (InputError, ValueError, TypeError, AttributeError):
            return None
        return sites if found["round"] == self.rounds + 1 else None

    @property
    def rounds(self) -> int:
        """The number of rounds that are completed."""
        return sum(map(completes_a_round, self.records))

    def round_age_s(self, now: float) -> float:
        """Seconds since the last record was written, or since the run began.

        Args:
            now: seconds since the epoch, as files have them.
        """
        files = [self.run.path / name for name in (RECORDS, "status.json", "experiment.json")]
        written = [path.stat().st_mtime for path in files if path.is_file() and path.stat().st_size]
        return max(0.0, now - (written[0] if written else now))

    def log_tail(self) -> str:
        """The last lines of the run's log, without names and paths; empty where there is none."""
        path = self.run.path / LOG
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
        return self.aliases.clean(harmless("\n".join(lines[-LOG_LINES:])))


def open_view(path: Path) -> RunView:
    """The view of a run folder.

    Raises:
        InputError: a file of it cannot be read.
    """
    return _view(path, stamp_of(path, *VIEWED), status_of(path))


@lru_cache(maxsize=16)
def _view(path: Path, _stamp: Stamp, status: RunStatus) -> RunView:
    run = RunFolder(path)
    records = run.records()
    known = bool(records) or (path / f"{HISTORY}.json").is_file()
    cases = {
        site: {split: len(names) for split, names in splits.items() if isinstance(names, list)}
        for site, splits in _json(run, "dataset_splits").items()
    }
    history, aliases = run.history() if known else pd.DataFrame(), _names(path, stamp_of(path, *NAMED))
    return RunView(run, run.experiment(), status, records, history, cases, aliases)


@lru_cache(maxsize=16)
def _names(path: Path, _stamp: Stamp) -> CaseAliases:
    run = RunFolder(path)
    return names_of(_json(run, "dataset_splits"), _json(run, "dataset_stats"))


def _json(run: RunFolder, name: str) -> Any:
    """A file of a run; empty where there is none."""
    return run.read_json(name) if (run.path / f"{name}.json").is_file() else {}
