"""The folder of an evaluation: finished and whole, or begun and to be continued."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fedmed.core.errors import InputError
from fedmed.core.files import write_whole
from fedmed.core.lines import whole_lines
from fedmed.tasks.base import Row

EVALUATION = "evaluation"
"""The folder of a run folder that holds one folder an evaluation."""

CASES_FILE, TABLE_FILE, DOCUMENT = "cases.csv", "table.csv", "evaluation.json"
_JOURNAL = "progress.jsonl"

LONG_COLUMNS = ("run", "site", "case", "target", "quantity", "value")
"""The columns of ``cases.csv``: one number of one target of one case a row."""

NUMBERS = ("cases", "patients", "value", "median", "std", "low", "high")
"""The columns of ``table.csv`` that are not text: the metric's figure with its interval, and of single values."""

EARLIER_NAMES: Mapping[str, Mapping[str, str]] = {
    CASES_FILE: {"region": "target", "metric": "quantity"},
    TABLE_FILE: {"region": "target", "mean": "value"},
}
"""The names of columns in folders of earlier versions, and those that stand for them now."""

DOCUMENT_KEYS = ("run", "model", "split", "data", "weights_sha256", "flips", "cases", "patients", "truth_sha256")
"""The keys of a finished evaluation's document, which may have more."""

Key = tuple[str, str]
"""A site and a case's name."""


class ScoringJournal:
    """The numbers of the scored cases, in a file that grows by a line a case; its first line is the identity."""

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self._path = path
        self.rows: dict[Key, list[Row]] = {}
        lines = whole_lines(path).lines
        if lines and _parsed(lines[0]) == identity:
            self._take(lines)
        else:
            lines = []
        text = "".join(line + "\n" for line in (lines or [json.dumps(dict(identity))]))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())  # without a last line that a killed process left unfinished

    def add(self, key: Key, rows: Sequence[Row]) -> None:
        """Record a case's rows."""
        values = [(row.target, row.quantity, None if math.isnan(row.value) else row.value) for row in rows]
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([*key, values]) + "\n")
        self.rows[key] = list(rows)

    def _take(self, lines: Sequence[str]) -> None:
        try:
            for line in lines[1:]:
                site, case, values = json.loads(line)
                self.rows[site, case] = [Row(case, target, name, _number(value)) for target, name, value in values]
        except (ValueError, TypeError) as error:
            raise InputError(f"{self._path} is damaged ({error}); remove it, and the scoring begins anew.") from error


class EvaluationFolder:
    """One evaluation: of one model on one split."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def finished(self, identity: Mapping[str, Any]) -> bool:
        """True where this very evaluation has been made.

        Raises:
            InputError: another one has been made or begun here, or what is here cannot be read.
        """
        made = self._made()
        for found in (made, self._begun()):
            differing = [key for key in identity if found is not None and found.get(key) != identity[key]]
            if differing:
                raise InputError(
                    f"{self.path} holds an evaluation that differs in {', '.join(differing)}; give --force to replace "
                    "it, or move it away first."
                )
        return made is not None

    def is_made(self) -> bool:
        """True where any evaluation is finished here."""
        return (self.path / DOCUMENT).is_file()

    def begin(self, identity: Mapping[str, Any]) -> ScoringJournal:
        """Continue an interrupted evaluation of the same identity, or begin one.

        Earlier results stay until the new ones are whole.
        """
        return ScoringJournal(self.path / _JOURNAL, identity)

    def finish(self, cases: pd.DataFrame, table: pd.DataFrame, document: Mapping[str, Any]) -> None:
        """Write the results, the document last, because with it the evaluation is finished."""
        (self.path / DOCUMENT).unlink(missing_ok=True)
        write_whole(self.path / CASES_FILE, cases.to_csv(index=False).encode())
        write_whole(self.path / TABLE_FILE, table.to_csv(index=False).encode())
        write_whole(self.path / DOCUMENT, (json.dumps(dict(document), indent=2) + "\n").encode())
        (self.path / _JOURNAL).unlink()

    def cases(self) -> pd.DataFrame:
        """The long table with the columns of :data:`LONG_COLUMNS`, of this version or an earlier one."""
        return _table(self.path / CASES_FILE, LONG_COLUMNS[:-1], LONG_COLUMNS[-1:])

    def table(self) -> pd.DataFrame:
        """The figure of each metric with its interval by site and target, and the numbers of cases and patients."""
        return _table(self.path / TABLE_FILE, ("site", "target", "metric"), NUMBERS)

    def document(self) -> dict[str, Any]:
        """The identity of the evaluation and its settings.

        Raises:
            InputError: it cannot be read.
        """
        found = self._made()
        if found is None:
            raise InputError(f"{self.path} holds no finished evaluation; make one with result_stat/evaluate.py.")
        return found

    def _made(self) -> dict[str, Any] | None:
        path = self.path / DOCUMENT
        if not path.is_file():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({error}); make the evaluation anew with --force.") from error
        if not isinstance(found, dict) or not set(DOCUMENT_KEYS) <= set(found):
            raise InputError(f"{path} is not as an evaluation leaves it; make the evaluation anew with --force.")
        return found

    def _begun(self) -> dict[str, Any] | None:
        lines = whole_lines(self.path / _JOURNAL).lines
        return _parsed(lines[0]) if lines else None


def _parsed(line: str) -> dict[str, Any] | None:
    """A line's object; None for anything else."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _table(path: Path, texts: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """Read a CSV of columns of text and of numbers; a case may be called NA.

    Raises:
        InputError: it cannot be read, or has other columns.
    """
    try:
        table = pd.read_csv(path, keep_default_na=False, dtype=str).rename(columns=_earlier(path))
        if not {*texts, *numbers} <= set(table.columns):
            raise ValueError(f"expected the columns {', '.join((*texts, *numbers))}")
        empty_is_nan = {name: table[name].replace("", "nan") for name in numbers}
        return table.assign(**empty_is_nan).astype(dict.fromkeys(numbers, float))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); make the evaluation anew with --force.") from error


def _earlier(path: Path) -> Mapping[str, str]:
    """The columns of an earlier version to be renamed; none where the table has the present names."""
    names = EARLIER_NAMES[path.name]
    with path.open(encoding="utf-8") as file:
        present = file.readline().strip().split(",")
    return names if "region" in present else {}
