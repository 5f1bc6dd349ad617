"""The records of a run that goes on: a line each on the screen, and a line each in the run folder."""

import sys
from collections.abc import Mapping
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
        steps = {site: each for site, each in steps.items() if site in self._at_work}
        done = sum(completes_a_round(record) for record in self.records)
        rounds = self.experiment.training.num_rounds
        if not sys.stdout.isatty() or not steps or done >= rounds:
            return
        finished = sum(each.done == each.of for each in steps.values())
        counts = sum(each.done for each in steps.values()), sum(each.of for each in steps.values())
        bar = console.progress_line(done + 1, rounds, finished, self.experiment.training.n_clients, *counts)
        if bar != self._bar:
            self._bar = bar
            print(f"{CLEAR}{bar}", end="", flush=True)

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
