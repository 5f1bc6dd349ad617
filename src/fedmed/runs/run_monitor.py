"""The records of a run that goes on: a line each on the screen, and a line each in the run folder."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from fedmed.core.cli import echo
from fedmed.core.names import LEDGER, SITES
from fedmed.experiment import Experiment
from fedmed.privacy.ledger import Entry, Ledger, all_booked
from fedmed.runs import console
from fedmed.runs.run_folder import RunFolder
from fedmed.server.round_record import EARLIER, completes_a_round

CLEAR = "\r\x1b[K"
"""Goes back to the beginning of a terminal's line and clears it."""


class RunMonitor:
    """Takes in the server's records and the sites' steps.

    Attributes:
        records: all of the run so far, those of earlier jobs too.
        ledger: the entries of all sites.
    """

    def __init__(self, folder: RunFolder, experiment: Experiment) -> None:
        self.folder, self.experiment = folder, experiment
        self.records: list[dict[str, Any]] = []
        self.ledger = Ledger(folder.name, experiment.privacy.document())
        self._bar = ""
        self._at_work: set[str] = set()  # sites that have reported a step of the round that goes on

    def record(self, record: dict[str, Any]) -> None:
        """Take in one more record."""
        if not self.records:
            self.folder.begin_records()
        self._clear_bar()
        self._at_work = set()
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
            global_model = self.experiment.algorithm.has_global_model
            echo(console.header(self.experiment.task.key_score, global_model=global_model))
        if self.records and self.records[-1].get(EARLIER) and not record.get(EARLIER):
            echo(f"resumed after round {len(self.records)} of {self.experiment.training.num_rounds}")

    def progress(self, steps: Mapping[str, Any]) -> None:
        """Show a bar of the round that goes on, on a terminal; a finished site's report may be of the round before."""
        self._at_work |= {site for site, each in steps.items() if each.done < each.of}
        current = [each for site, each in steps.items() if site in self._at_work]
        bar = self._progress_line(current) if current and sys.stdout.isatty() else ""
        if bar not in ("", self._bar):
            self._bar = bar
            print(f"{CLEAR}{bar}", end="", flush=True)

    def _progress_line(self, steps: Sequence[Any]) -> str:
        """The bar; empty once all rounds are completed."""
        training = self.experiment.training
        done = sum(map(completes_a_round, self.records))
        finished = sum(each.done == each.of for each in steps)
        counts = sum(each.done for each in steps), sum(each.of for each in steps)
        line = console.progress_line(done + 1, training.num_rounds, finished, training.n_clients, *counts)
        return line if done < training.num_rounds else ""

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
