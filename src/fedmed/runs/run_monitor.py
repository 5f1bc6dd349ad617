"""The records of a run that goes on: a line each on the screen, and a line each in the run folder."""

import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fedmed.core.cli import echo
from fedmed.core.names import LEDGER, PROGRESS, SITES
from fedmed.experiment import Experiment
from fedmed.privacy.ledger import Entry, Ledger, all_booked
from fedmed.runs import console
from fedmed.runs.run_folder import RunFolder
from fedmed.server.round_record import EARLIER, completes_a_round

CLEAR = "\r\x1b[K"
"""Goes back to the beginning of a terminal's line and clears it."""

PROGRESS_S = 2.0
"""Seconds between two writings of the file of the round's progress."""

STARTS, ENDS = "the sites start", "the run ends"
"""The phases of a run before its first round and after the score of its final model."""


class RunMonitor:
    """Takes in the server's records and the sites' steps.

    Args:
        clock: seconds from some moment on.

    Attributes:
        records: all of the run so far, those of earlier jobs too.
        ledger: the entries of all sites.
    """

    def __init__(self, folder: RunFolder, experiment: Experiment, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder, self.experiment = folder, experiment
        self.records: list[dict[str, Any]] = []
        self.ledger = Ledger(folder.name, experiment.privacy.document())
        self._bar, self._told, self._clock, self._since = "", "", clock, clock()
        self._next_note = 0.0
        self._at_work: set[str] = set()  # sites that have reported a step of the round that goes on

    def record(self, record: dict[str, Any]) -> None:
        """Take in one more record."""
        if not self.records:
            self.folder.begin_records()
        self._clear_bar()
        self._at_work, self._since = set(), self._clock()
        self._announce(record)
        self.records.append(record)
        self.folder.add_record(record)
        self.ledger.entries += [Entry.from_plain(entry) for entry in record.get("privacy", {}).values()]
        if not record.get(EARLIER):
            rounds = self.experiment.training.num_rounds
            left = console.time_left(self.records, rounds)
            echo(console.round_line(record, rounds, self.experiment.task.key_score, left))
        if record.get("final") and self.experiment.training.cross_site:
            echo("cross-site: every site scores every model")

    def _announce(self, record: Mapping[str, Any]) -> None:
        """The lines that go before the first round, and before the first one after a resume."""
        if not self.records and not self.experiment.privacy.withholds_metrics:
            key, algorithm = self.experiment.task.key_score, self.experiment.algorithm
            echo(console.header(key, global_model=not algorithm.scores_own, personal=algorithm.has_personal))
        if self.records and self.records[-1].get(EARLIER) and not record.get(EARLIER):
            echo(f"resumed after round {len(self.records)} of {self.experiment.training.num_rounds}")

    def progress(self, steps: Mapping[str, Any]) -> None:
        """Show, on a terminal, a bar of the round that goes on, or for how long there has been nothing to count.

        A finished site's report may be of the round before.
        """
        self._at_work |= {site for site, each in steps.items() if each.done < each.of}
        at_work = {site: each for site, each in steps.items() if site in self._at_work}
        current = list(at_work.values())
        self._note(at_work)
        bar = self._progress_line(current) or f"{self._phase}, {self._clock() - self._since:.0f} s"
        if not sys.stdout.isatty():
            self._tell_of_phase()
        elif bar != self._bar:
            self._bar = bar
            print(f"{CLEAR}{bar}", end="", flush=True)

    def _note(self, steps: Mapping[str, Any]) -> None:
        """Leave the sites' steps in the run folder, for readers of a run that goes on; at most once in some seconds."""
        if steps and self._clock() >= self._next_note:
            self._next_note = self._clock() + PROGRESS_S
            done = sum(map(completes_a_round, self.records))
            sites = {site: [each.done, each.of] for site, each in sorted(steps.items())}
            with contextlib.suppress(OSError):  # no run is given up for its progress
                self.folder.write_json(PROGRESS, {"round": done + 1, "sites": sites})

    @property
    def _phase(self) -> str:
        """The part of the run that goes on, in words."""
        done, rounds = sum(map(completes_a_round, self.records)), self.experiment.training.num_rounds
        begun = [record for record in self.records if not record.get(EARLIER)]
        if not begun:
            return STARTS
        if begun[-1].get("final"):
            return ENDS
        return f"round {done + 1} of {rounds}" if done < rounds else "the final model is scored"

    def _tell_of_phase(self) -> None:
        """A line, in a file or a pipe, for the two phases in which there is no round."""
        if self._phase in (STARTS, ENDS) and self._phase != self._told:
            self._told = self._phase
            echo(self._told)

    def _progress_line(self, steps: Sequence[Any]) -> str:
        """The bar; empty where there are no steps, or once all rounds are completed."""
        training = self.experiment.training
        done = sum(map(completes_a_round, self.records))
        finished = sum(each.done == each.of for each in steps)
        counts = sum(each.done for each in steps), sum(each.of for each in steps)
        line = console.progress_line(done + 1, training.num_rounds, finished, training.n_clients, *counts)
        return line if steps and done < training.num_rounds else ""

    def _clear_bar(self) -> None:
        if self._bar:
            self._bar = ""
            print(CLEAR, end="", flush=True)

    def book_unfinished(self) -> None:
        """Write the ledger, with the entries that sites booked for a round that did not end: their updates may have
        left them.
        """
        self._clear_bar()
        self.ledger.entries = all_booked(self.ledger, self.folder.path / SITES)
        self.ledger.save(self.folder.path / LEDGER)
