"""The cells of a study on the screen while its runs go on: a sign a cell, and the time that is left."""

import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import TextIO

from fedmed.analysis.study.cell_queue import State, States
from fedmed.analysis.study.study_cells import Cell
from fedmed.core.cli import echo
from fedmed.runs.console import clock

SIGNS: dict[State, str] = {"waiting": ".", "running": ">", "done": "#", "failed": "x"}
UP, CLEAR = "\x1b[{}A", "\x1b[J"
"""Go up so many lines; clear the screen from there on."""


class GridProgress:
    """On a terminal a table that is drawn anew where it changes; elsewhere a line where a run ends, and no table."""

    def __init__(self, cells: Sequence[Cell], stream: TextIO | None = None) -> None:
        self._cells, self._stream, self._began = cells, stream or sys.stderr, time.monotonic()
        self._shown, self._before = "", 0

    def __call__(self, states: States, told: Sequence[str]) -> None:
        """Show the states, and before them the sentences on what has ended."""
        if not self._stream.isatty():
            for sentence in told:
                echo(sentence, self._stream)
            return
        self._before = self._before or sum(state == "done" for state in states.values())
        width = shutil.get_terminal_size().columns - 1  # a line that is wrapped would be two
        text = "\n".join(line[:width] for line in (*table_lines(self._cells, states), self._line(states)))
        if text != self._shown or told:
            self._redraw(text, told)

    def _redraw(self, text: str, told: Sequence[str]) -> None:
        if self._shown:
            self._stream.write(UP.format(self._shown.count("\n") + 1) + CLEAR)
        for sentence in told:
            echo(sentence, self._stream)
        echo(text, self._stream)
        self._shown = text

    def _line(self, states: States) -> str:
        counts = Counter(states.values())
        seconds = seconds_left(counts, time.monotonic() - self._began, self._before)
        left = "" if seconds is None else f", about {clock(round(seconds, -1))} left"
        return f"{counts['done']} of {len(states)} done, {counts['running']} running, {counts['failed']} failed{left}"


def seconds_left(counts: Counter[State], passed: float, before: int) -> float | None:
    """Seconds until all have ended, if they end as those did so far; None where none has. A pure function.

    Args:
        counts: the cells by state.
        passed: seconds since the study was begun or gone on with.
        before: cells that were done then.
    """
    ended = counts["done"] + counts["failed"] - before
    return passed / ended * (counts["waiting"] + counts["running"]) if ended > 0 else None


def table_lines(cells: Sequence[Cell], states: States) -> list[str]:
    """A row a partition with its attack and a column an algorithm, with a sign a seed: those of :data:`SIGNS`."""
    rows: dict[str, dict[str, str]] = {}
    for cell in cells:
        label = f"{cell.partition}, {cell.attack}" if cell.attack not in ("", "none") else cell.partition
        row = rows.setdefault(label, {})
        row[cell.algorithm] = row.get(cell.algorithm, "") + SIGNS[states[cell.name]]
    columns = list(dict.fromkeys(cell.algorithm for cell in cells))
    widths = [max(len(name), *(len(row.get(name, "")) for row in rows.values())) for name in columns]
    first = max(map(len, rows), default=0)
    head = "  ".join([" " * first, *(name.ljust(width) for name, width in zip(columns, widths, strict=True))])
    lines = [
        "  ".join([label.ljust(first), *(row.get(n, "").ljust(w) for n, w in zip(columns, widths, strict=True))])
        for label, row in rows.items()
    ]
    return [line.rstrip() for line in (head, *lines)]
