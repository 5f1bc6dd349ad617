"""A site of a federation: it answers the server's questions, whatever carries them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from fedmed.core.errors import InputError
from fedmed.core.messages import Answer, Question
from fedmed.core.site_scores import CASES
from fedmed.core.weights import Weights
from fedmed.privacy.base import ReleaseContext
from fedmed.privacy.release import release
from fedmed.site.local_training import LocalSite, Trained
from fedmed.site.site_events import SiteEvents


class Site:
    """Scores and trains what the server sends, and lets out of it what the experiment's mechanism allows.

    Args:
        local: the site's model and cases.
        events: gets what the site notes of its rounds.
        report: gets the reason where an update is withheld; it may tell of the data and stays at the site.
    """

    def __init__(self, local: LocalSite, events: SiteEvents, report: Any = print) -> None:
        self.local, self.events, self._report = local, events, report
        self._mechanism = local.experiment.privacy.resolved(local.experiment)

    def answer(self, question: Question) -> Answer:
        """The answer to a question that this site is asked."""
        self.events.write_epsilon(question.rounds)
        return self._images(question) if question.kind == "images" else self._round(question)

    def _images(self, question: Question) -> Answer:
        """Keyed hashes of this site's images, where they may leave it; a job's first question to all sites."""
        self.local.take_up(question.rounds)
        if self._mechanism.withholds_metrics:
            return Answer(metrics={CASES: 0}, images={})
        return Answer(metrics={CASES: len(self.local.audit.cases)}, images=self.local.images())

    def _round(self, question: Question) -> Answer:
        """Score the model that the round begins with, and train it where this site is to train."""
        local, rounds, withheld = self.local, question.rounds, self._mechanism.withholds_metrics
        received = {name: torch.as_tensor(values) for name, values in question.weights.items()}
        local.begin(received, rounds)
        due = question.kind == "score" or rounds % local.training.validate_every == 0
        metrics = local.score(question.shares) if due and not withheld else {CASES: 0}
        self.events.write_scores(metrics, rounds)
        if question.kind == "score":
            local.forget()
        if local.site not in question.training:
            return Answer(metrics=metrics)
        try:
            local.book_patients(rounds + 1)
        except InputError as error:
            self._report(f"The update of round {rounds + 1} is withheld: {error}")
            return Answer(metrics={CASES: 0}, withheld=True)
        trained = local.train(rounds, question.extras)
        if not withheld:
            self.events.write_losses(trained, rounds)
            metrics = {**metrics, **trained.report(), **local.take_notes()}
        try:
            return self._released(received, question, trained, metrics)
        except InputError as error:
            self._report(f"The update of round {rounds + 1} is withheld: {error}")
            return Answer(metrics={CASES: 0}, withheld=True)

    def _released(
        self, received: Weights, question: Question, trained: Trained, metrics: Mapping[str, float]
    ) -> Answer:
        """The answer of a round, after its mechanism and its ledger.

        Raises:
            InputError: the update may not leave.
        """
        local, mechanism, entry = self.local, self._mechanism, trained.entry
        extras = {name: np.asarray(values) for name, values in local.extras().items()}
        update: Mapping[str, np.ndarray] = local.update(received)
        if mechanism.acts_on_updates:
            context = ReleaseContext(local.site, question.rounds + 1, trained.steps, local.training.seed)
            update, entry = release(
                update, mechanism, context, local.job_id, statistics=local.entries.statistics, extras=extras
            )
        plain = None if entry is None else entry.travelling(mechanism.dp_send_diagnostics)
        cases = None if mechanism.withholds_metrics else local.side.setup.cases
        return Answer(update, trained.steps, cases, metrics, plain, extras)
