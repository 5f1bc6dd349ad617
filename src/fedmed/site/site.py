"""A site of a federation: it answers the server's questions, whatever carries them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from fedmed.core.errors import InputError
from fedmed.core.messages import Answer, Question
from fedmed.core.site_scores import CASES, is_number
from fedmed.core.weights import Weights
from fedmed.data.audit.duplicates_exchange import parts_of
from fedmed.privacy.base import ReleaseContext
from fedmed.privacy.booking import expect_budget
from fedmed.privacy.ledger import begin_site_ledger
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
        self._scored, self._measured = set[int](), set[int]()  # after how many rounds that was done of a model

    def answer(self, question: Question) -> Answer:
        """The answer to a question that this site is asked; that it withholds one where the question is no right one.

        Raises:
            InputError: the site cannot train or score.
        """
        try:
            self._expect(question)
        except InputError as error:
            return self._withheld(f"The answer after {question.rounds!r:.20} rounds", error)
        self.events.write_epsilon(question.rounds)
        if question.kind == "images":
            return self._images(question)
        if question.kind == "unshared":
            return self._keep_unshared(question)
        if not self._has_unshared(question):
            return self._without_unshared(question)
        return self._statistics(question) if question.kind == "statistics" else self._round(question)

    def _expect(self, question: Question) -> None:
        """Refuse a question that no honest server asks, and one that would cost more than is left of the budget.

        Raises:
            InputError: it is one.
        """
        local, rounds, mechanism = self.local, question.rounds, self._mechanism
        trains, books = local.site in question.training, mechanism.GUARANTEE != "none"
        last = local.training.num_rounds - trains
        if isinstance(rounds, bool) or not isinstance(rounds, int) or not 0 <= rounds <= last:
            raise InputError(f"The experiment has {local.training.num_rounds} rounds, and the question is of none.")
        if question.shares and not self._are_parts(question.shares):
            raise InputError(f"The parts {question.shares!r:.200} are not those of the experiment's sites in order.")
        expect_rate_factor(question.rate_factor)
        self._expect_shared(question)
        if books and rounds == 0:
            begin_site_ledger(local.site, local.job_id, mechanism.document())
        if books and trains:
            expect_budget(local.site, local.job_id, mechanism, rounds + 1)

    def _expect_shared(self, question: Question) -> None:
        """Refuse a question about a model that lacks entries which sites share.

        Raises:
            InputError: one is missing; it is named.
        """
        about_a_model = question.kind not in ("images", "unshared")
        missing = [name for name in self.local.parts.shared.names if about_a_model and name not in question.weights]
        if missing:
            raise InputError(f"The model that the server sent lacks {missing[0]}; expected every entry that is shared.")

    def _are_parts(self, shares: Any) -> bool:
        """True where the validation cases are shared out among sites of the experiment as they always are."""
        named = isinstance(shares, Mapping) and set(shares) <= set(self.local.training.sites)
        return named and dict(shares) == parts_of(shares)

    def _withheld(self, what: str, error: InputError) -> Answer:
        self._report(f"{what} is withheld: {error}")
        return Answer(metrics={CASES: 0}, withheld=True)

    def _images(self, question: Question) -> Answer:
        """Keyed hashes of this site's images, where they may leave it; a job's first question to all sites."""
        self.local.take_up(question.rounds)
        held = self.local.unshared.digest if self.local.parts.unshared else None
        if self._mechanism.withholds_metrics:
            return Answer(metrics={CASES: 0}, images={}, unshared=held)
        return Answer(metrics={CASES: len(self.local.audit.cases)}, images=self.local.images(), unshared=held)

    def _keep_unshared(self, question: Question) -> Answer:
        """Keep the part of the model that no round sends, for this process and later ones."""
        local = self.local
        local.take_up(question.rounds)
        try:
            local.unshared.keep(question.weights, question.unshared, begins=question.rounds == 0)
        except InputError as error:
            self._report(f"The frozen part of the model is refused: {error}")
        return Answer(metrics={CASES: 0}, unshared=local.unshared.digest)

    def _has_unshared(self, question: Question) -> bool:
        """True where this site's part of the model that is not sent is the one that the question is about."""
        return question.unshared == self.local.unshared.digest

    def _without_unshared(self, question: Question) -> Answer:
        """The answer of a site that lacks that part or has another one: it trains nothing, and says what it has."""
        held = self.local.unshared.digest
        what = f"has the digest {held:.12}" if held else "is not here"
        why = f"The part of the model that rounds do not send {what}, and the server's is {question.unshared!r:.14}."
        answer = self._withheld(f"The answer after {question.rounds} rounds", InputError(why))
        return replace(answer, unshared=held)

    def _statistics(self, question: Question) -> Answer:
        """The running statistics of the global model on this site's training cases, once after as many rounds."""
        local, rounds = self.local, question.rounds
        if not local.experiment.measures_statistics or rounds in self._measured:
            return self._withheld("The running statistics", InputError("The experiment asks for none."))
        self._measured.add(rounds)
        received = self._shared(question)
        local.begin(received, rounds)
        return Answer(local.measured_statistics(received, rounds), cases=local.side.setup.cases)

    def _shared(self, question: Question) -> Weights:
        """The entries of a question that sites share; whatever else is in it is not looked at."""
        return {name: torch.as_tensor(question.weights[name]) for name in self.local.parts.shared.names}

    def _round(self, question: Question) -> Answer:
        """Score the model that the round begins with, and train it where this site is to train."""
        local, rounds = self.local, question.rounds
        received = self._shared(question)
        local.begin(received, rounds)
        metrics = self._scores(question)
        self.events.write_scores(metrics, rounds)
        if question.kind == "score":
            local.end_run()
        if local.site not in question.training:
            return Answer(metrics=metrics)
        try:
            local.book_patients(rounds + 1)
        except InputError as error:
            self._report(f"The update of round {rounds + 1} is withheld: {error}")
            return Answer(metrics={CASES: 0}, withheld=True)
        self.events.write_rate(local.training, question)
        trained = local.train(rounds, question.extras, question.rate_factor)
        if not self._mechanism.withholds_metrics:
            self.events.write_epochs(trained, rounds)
            metrics = {**metrics, **trained.report(), **local.take_notes()}
        try:
            return self._released(received, question, trained, metrics)
        except InputError as error:
            return self._withheld(f"The update of round {rounds + 1}", error)

    def _scores(self, question: Question) -> Mapping[str, float]:
        """The figures of the model that was loaded, where they are due and may leave; once after as many rounds.

        Several parts of the cases, or several models, would tell of one case what no part alone tells.
        """
        due = question.kind == "score" or question.rounds % self.local.training.validate_every == 0
        if not due or self._mechanism.withholds_metrics or question.rounds in self._scored:
            return {CASES: 0}
        self._scored.add(question.rounds)
        return self.local.score(question.shares)

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
            begins, statistics = question.rounds == 0, local.parts.shared.statistics
            update, entry = release(
                update, mechanism, context, local.job_id, statistics=statistics, extras=extras,
                frozen=local.frozen, begins=begins,
            )  # fmt: skip
        plain = None if entry is None else entry.travelling(mechanism.dp_send_diagnostics)
        cases = None if mechanism.withholds_metrics else local.side.setup.cases
        return Answer(update, trained.steps, cases, metrics, plain, extras)


def expect_rate_factor(factor: Any) -> None:
    """Refuse a share of the learning rate that no schedule makes.

    Raises:
        InputError: it is no number above 0 and at most 1.
    """
    if not is_number(factor, 0, 1) or factor == 0:
        raise InputError(f"The learning rate's factor is {factor!r:.200}; expected a number above 0 and at most 1.")
