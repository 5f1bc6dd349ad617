"""A site's TensorBoard events: figures of epochs at optimiser steps, all else at rounds."""

from collections.abc import Mapping
from typing import Protocol

from fedmed.core.messages import Question
from fedmed.core.settings import Training
from fedmed.core.site_folder import run_name
from fedmed.core.site_scores import LEARNING_RATE, OF_EPOCH, TRAINED, is_figure
from fedmed.privacy.ledger import read_ledger, site_ledger
from fedmed.site.local_training import Trained


class EventWriter(Protocol):
    """A writer of events: TensorBoard's own, or FLARE's, which carries them to the server."""

    def add_scalar(self, tag: str, scalar: float, global_step: int) -> object:
        """Write one value at one step."""


class SiteEvents:
    """Writes the events of one site of a job."""

    def __init__(self, site: str, job_id: str, writer: EventWriter) -> None:
        self._site, self._job_id, self._writer = site, job_id, writer
        self._booked: int | None = None  # the last round whose epsilon is written

    def write_scores(self, metrics: Mapping[str, float], rounds: int) -> None:
        """Write the figures of the model that ``rounds`` rounds made."""
        for name, value in metrics.items():
            if is_figure(name):
                self._writer.add_scalar(name, value, rounds)

    def write_rate(self, training: Training, question: Question) -> None:
        """Write the learning rate of the round that is asked for, where it is not the same in all rounds."""
        if training.rates_vary:
            rate = training.learning_rate * question.rate_factor
            self._writer.add_scalar(LEARNING_RATE, rate, question.rounds + 1)

    def write_epochs(self, trained: Trained, rounds: int) -> None:
        """Write each epoch's figures at the optimiser step with which it ended."""
        for epoch, figures in enumerate(trained.epochs, start=1):
            step = rounds * trained.steps + epoch * trained.steps // len(trained.epochs)
            for name, value in figures.items():
                self._writer.add_scalar(name if name in TRAINED else OF_EPOCH + name, value, step)

    def write_epsilon(self, rounds: int) -> None:
        """Write what the site's ledger has booked since the last message; rounds of an earlier job are written."""
        if self._booked is None:
            self._booked = rounds - 1
        path = site_ledger(self._site, self._job_id)
        entries = read_ledger(path, run_name(self._job_id)).entries if path.exists() else []
        for entry in entries:
            if entry.round > self._booked and entry.epsilon_total is not None:
                self._writer.add_scalar("privacy_epsilon", entry.epsilon_total, entry.round)
        self._booked = max((entry.round for entry in entries), default=0)
