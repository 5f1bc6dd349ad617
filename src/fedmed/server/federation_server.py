"""The server of a federation: whom it asks, what it makes of their answers, and when a round is complete.

It knows no transport and no clock: whoever carries its questions hands in the answers, the failures and the time. A run
is the comparison of the sites' data, its rounds, and the scoring of the last model. Rounds count from 0, as in FLARE.
"""

import contextlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from fedmed.algorithms.base import Contribution
from fedmed.core.attack import Attack
from fedmed.core.entries import Entries, only
from fedmed.core.files import write_whole
from fedmed.core.messages import Answer, Kind, Question
from fedmed.core.names import BEST_FILE, EVENTS, LAST_FILE, MODELS, RECORDS
from fedmed.core.options import from_plain
from fedmed.core.registry import rebuilt
from fedmed.core.site_scores import LEARNING_RATE, TRAINED, VALUES, FigureForm, Figures
from fedmed.core.timing import TIMING
from fedmed.core.weights import Update, Weights, digest, load_weights, payload, save_weights
from fedmed.data.audit.duplicates_exchange import (
    OVERLAPS,
    REFUSED_DATA,
    compare,
    is_answer,
    of_another_key,
    shares,
)
from fedmed.data.audit.finding import errors_of
from fedmed.privacy.ledger import Entry
from fedmed.server.aggregation import Aggregation, UnusableUpdate
from fedmed.server.best_model import BestModel
from fedmed.server.checkpoint import BestFile, Checkpoint, Checkpoints
from fedmed.server.early_stopping import EarlyStopping
from fedmed.server.heartbeats import Heartbeats
from fedmed.server.plan import ServerPlan
from fedmed.server.quorum import NOT_AWAITED, RoundQuorum
from fedmed.server.rate_schedule import RateSchedule
from fedmed.server.round_record import RoundRecord
from fedmed.server.site_reports import CaseCounts, evened, read_report
from fedmed.server.site_sample import drawn
from fedmed.server.unshared_holders import UnsharedHolders
from fedmed.server.update_attacks import forged_updates
from fedmed.server.words import in_short

WITHHELD = "the site did not let it out; its own log says why"
OPTIONAL: Collection[Kind] = ("unshared", "statistics", "score")
"""Questions that a run can go on without any site's answer to."""

NOT_THERE = "it has no part in this job"
OTHER_FORM = "it is of another form; update the site"


class DataRefused(RuntimeError):
    """The sites' data cannot be used together."""


class ServerFiles(NamedTuple):
    """The server's folders.

    Attributes:
        run: of the job: the records, the comparison of data, the models and the events.
        state: of the run, where it outlives the job: the checkpoint.
    """

    run: Path
    state: Path

    @property
    def models(self) -> Path:
        return self.run / MODELS


class FederationServer:
    """A run at the server, from its first question to its last.

    It is used in turns of :meth:`next`, any number of :meth:`take`, :meth:`fail` and :meth:`heard` until
    :meth:`is_complete`, and :meth:`close`. Times are seconds from some moment on.

    Args:
        first: gives the weights of a run that begins anew.
        report: gets a line for whatever an operator should read.
        submitter: the user who submitted the job; None where the transport knows no users.

    Raises:
        RuntimeError: another job of the run is at work.
        InputError: the checkpoint is damaged, or the run is another user's.
    """

    def __init__(
        self,
        plan: ServerPlan,
        files: ServerFiles,
        first: Callable[[], Weights],
        now: float,
        report: Callable[[str], object] = print,
        submitter: str | None = None,
    ) -> None:
        self.plan, self.files, self._report = plan, files, report
        self._aggregation = Aggregation(
            rebuilt("algorithm", plan.algorithm),
            Entries.from_plain(plan.entries),
            plan.rounds,
            len(plan.sites),
            plan.max_update_ratio,
            plan.max_weight_ratio,
            plan.aggregation_weights,
        )
        self._forms, self._cases = plan.figure_forms, CaseCounts()
        form = self._forms.get(plan.key_metric, FigureForm())
        self._best = BestModel(plan.key_metric, self._figures, form)
        self._schedule = RateSchedule(plan.schedule, plan.rounds, plan.warmup_rounds, plan.patience)
        self._early = EarlyStopping(plan.early_stopping)
        self._heartbeats = Heartbeats(plan.site_silence, now)
        self._attack, self._attacked = from_plain(Attack, plan.attack), dict[str, str]()
        self._booked: dict[str, Entry] = {}
        self._images: dict[str, Any] = {}
        self._compared = len(plan.sites) == 1
        self._rounds, self._over, self._asked = 0, False, False
        self._measured: int | None = None  # after how many rounds the model's running statistics were measured
        self._before: RoundRecord | None = None  # the record of that question, until a round takes it over
        self._noted: dict[str, str] = {}
        self._open(first, submitter)
        shared = set(self._aggregation.entries.names)
        self._unshared = {name: values for name, values in self._weights.items() if name not in shared}
        self._holders = UnsharedHolders(digest(self._unshared))

    def _figures(self) -> Figures:
        """The figures of the task that are made from sums."""
        figures: Figures = rebuilt("task", self.plan.task).figures()
        return figures

    def _open(self, first: Callable[[], Weights], submitter: str | None) -> None:
        """Begin the run, or take it up where an earlier job left it."""
        self.files.models.mkdir(parents=True, exist_ok=True)
        self.checkpoints = Checkpoints(self.files.state)
        self.checkpoints.hold(submitter)
        earlier = self.checkpoints.load()
        self.checkpoints.begin(earlier)
        (self.files.run / RECORDS).symlink_to(self.checkpoints.records)  # for whoever follows or fetches this job's
        if earlier is None:
            self._weights: dict[str, np.ndarray] = _arrays(first())
        else:
            self._go_on(earlier)

    def _go_on(self, earlier: Checkpoint) -> None:
        """Begin with the models, the rounds, the ledgers and the algorithm's state that a checkpoint holds."""
        self._report(f"The run goes on after round {earlier.rounds} of {self.plan.rounds}.")
        self._rounds, self._weights = earlier.rounds, _arrays(load_weights(earlier.last))
        save_weights(_tensors(self._weights), self.files.models / LAST_FILE)
        if earlier.best is not None:
            save_weights(load_weights(earlier.best.path), self.files.models / BEST_FILE)
            self._best.restore(earlier.best.score, earlier.best.rounds)
        for record in earlier.records:
            self._booked |= {site: Entry.from_plain(entry) for site, entry in record["privacy"].items()}
            self._follow(record["round"], record["sites"])
        self._aggregation.restore(earlier.algorithm)
        self.checkpoints.take_over_events(earlier, self.files.run / EVENTS)

    def leave(self) -> None:
        """The job is over, for good or bad: its folder gets the records themselves in the place of a link to them."""
        with contextlib.suppress(OSError):  # the link, which stays then, is as good on this machine
            write_whole(self.files.run / RECORDS, self.checkpoints.records.read_bytes())
        self.checkpoints.release()

    def next(self, present: Iterable[str], now: float) -> Question | None:
        """The next question, to some or all of the sites that are there; None when the run is over.

        Raises:
            RoundFailed: too few are there for a round.
        """
        if self._over:
            return None
        there = sorted(set(present) & set(self.plan.sites))
        lost = self._lost(there, now)
        kind, sites, without = self._next_turn([site for site in there if site not in lost])
        lost |= without
        spent = self._spent if kind == "train" else {}
        self._question = self._made(kind, [site for site in sites if site not in lost], spent)
        self._await(lost | spent, now)
        return self._question

    def _await(self, lost: Mapping[str, str], now: float) -> None:
        """Begin to wait for the answers to the question.

        Args:
            lost: who can have no part in what was to be asked, and why.

        Raises:
            RoundFailed: too few are there for a round.
        """
        kind = self._question.kind
        enough = len(self._question.training) == self.plan.sites_per_round
        self._quorum = RoundQuorum(self._question.sites, {} if enough else lost, self.plan.min_clients)
        if kind not in OPTIONAL:
            self._quorum.require("the next round", len(self._question.training or self._question.sites), {})
        size = payload(self._question.weights) + payload(self._question.extras)
        self._record = RoundRecord(self._rounds, self._question.sites, size, bool(self._question.shares), now)
        if self._before is not None:
            self._record.take_over(self._before)
            self._before = None
        self._deadline = self._deadline_from(now)

    def _next_turn(self, sites: list[str]) -> tuple[Kind, list[str], dict[str, str]]:
        """The kind of the next question, those of the sites whom it is for, and who cannot answer it and why."""
        kind = self._next_kind
        if kind == "images":
            return kind, sites, {}
        if lacking := self._holders.to_be_given(sites):
            return "unshared", lacking, {}
        return kind, sites, self._holders.without(sites)

    @property
    def _next_kind(self) -> Kind:
        if not self._compared:
            return "images"
        due = self._is_done or self._rounds % self.plan.validate_every == 0
        if self.plan.measures_statistics and due and self._rounds and self._measured != self._rounds:
            return "statistics"
        return "score" if self._is_done else "train"

    def _lost(self, there: Sequence[str], now: float) -> dict[str, str]:
        """The sites that cannot be asked, and why."""
        absent = {site: NOT_THERE for site in self.plan.sites if site not in there}
        return absent | {site: self._silence_of(site, now) for site in self._heartbeats.lost(there, now)}

    def _made(self, kind: Kind, sites: list[str], spent: Collection[str]) -> Question:
        """The question; sites whose budget is spent score and do not train."""
        if kind == "images":
            return Question(kind, self._rounds, tuple(sites))
        held = self._holders.digest
        if kind == "unshared":
            return Question(kind, self._rounds, tuple(sites), weights=dict(self._unshared), unshared=held)
        self._aggregation.begin(self._weights)
        if kind == "statistics":
            return Question(kind, self._rounds, tuple(sites), weights=self._shared, unshared=held)
        return replace(self._round_of(kind, sites, spent), unshared=held)

    @property
    def _shared(self) -> dict[str, np.ndarray]:
        """The model's entries that messages hold."""
        return only(self._weights, self._aggregation.entries.names)

    def _round_of(self, kind: Kind, sites: list[str], spent: Collection[str]) -> Question:
        """The question of a round, or of the last scoring."""
        plan, training = self.plan, list[str]()
        if kind == "train":
            able = sorted(set(sites) - set(spent))
            training = drawn(plan.sites, able, plan.sites_per_round, plan.seed, self._rounds)
        extras = self._message() if kind == "train" else {}
        parts = self._shares(training or sites)
        due = kind == "score" or self._rounds % plan.validate_every == 0
        asked = training if training and (parts or not due) else sites
        factor = self._schedule.factor(self._rounds) if training else 1.0
        return Question(kind, self._rounds, tuple(asked), tuple(training), self._shared, parts, extras, factor)

    def _message(self) -> dict[str, np.ndarray]:
        """The arrays that the algorithm sends beside the weights."""
        return {name: np.asarray(values) for name, values in self._aggregation.side.message().items()}

    def _shares(self, sites: list[str]) -> dict[str, tuple[int, int]]:
        """Each of these sites' part of the validation cases, where all sites of the run list the same ones."""
        if not self.plan.split_validation or not shares(self._images):
            return {}
        asked = {site: self._images[site] for site in sites if site in self._images}
        return shares(asked) or dict.fromkeys(asked, (0, 1))  # one alone scores all of them

    def _deadline_from(self, now: float) -> float | None:
        """The end of the round's time; the first question waits for the sites to start, too."""
        starting = 0.0 if self._asked else TIMING.site_start_s
        self._asked = True
        return now + self.plan.round_timeout + starting if self.plan.round_timeout else None

    @property
    def _is_done(self) -> bool:
        """True where no further round is to be trained."""
        return self._rounds >= self.plan.rounds or bool(self._stopped)

    @property
    def _stopped(self) -> str:
        """The reason in words where no further round is trained, though the run has some: too few sites have budget
        left for one, or the scores have not risen for long.

        Too few is all but one, unless a round needs only some of the sites.
        """
        spent, needed = self._spent, self.plan.min_clients or len(self.plan.sites)
        too_few = len(self.plan.sites) - len(spent) < needed
        reason = next(iter(spent.values())) if too_few else self._early.reason
        return f"stopped after {self._rounds} of {self.plan.rounds} rounds: {reason}" if reason else ""

    @property
    def _spent(self) -> dict[str, str]:
        """The sites whose budget has no room for a further round, and that in words."""
        most = self.plan.max_epsilon
        found = {site: entry.epsilon_next for site, entry in sorted(self._booked.items())}
        return {
            site: f"one more would bring epsilon at {site} to {after:.4g}, above the budget of {most:g}"
            for site, after in found.items()
            if most is not None and after is not None and after > most
        }

    def _silence_of(self, site: str, now: float) -> str:
        return f"no sign of life for {self._heartbeats.silent_s(site, now):.0f} s"

    def heard(self, site: str, now: float) -> None:
        """Note a sign of life of a site; one of nobody in this run changes nothing."""
        if site in self.plan.sites:
            self._heartbeats.heard(site, now)

    def take(self, site: str, answer: Answer, now: float) -> None:
        """Take a site's answer to the question that is open; one that nobody awaits changes nothing."""
        self.heard(site, now)
        if site not in self._quorum.awaited:
            self._say(f"{site} answered after its round had ended; its answer is not used.")
            return
        self._quorum.answered(site)
        try:
            self._read(site, answer)
        except Exception as error:  # whatever a site can send that breaks here is its own fault
            self._say(f"The answer of {site} cannot be read: {error!r:.200}")
            self._leave_out(site, OTHER_FORM)

    def _say(self, line: str) -> None:
        """Report a line that may hold words of a site."""
        self._report(in_short(line))

    def _leave_out(self, site: str, why: str) -> None:
        """Take it that what a site has answered cannot be used."""
        if self._question.kind == "images":
            self._quorum.failed(site, why)
        else:
            self._aggregation.refuse(site, why)

    def _read(self, site: str, answer: Answer) -> None:
        self._holders.take(site, answer.unshared)
        if self._question.kind == "unshared":
            return
        if self._question.kind == "images":
            self._take_images(site, answer.images)
            return
        if self._question.kind == "statistics":
            self._take_statistics(site, answer)
            return
        share = self._question.shares.get(site)
        given = read_report(answer.metrics or {}, self._forms, self._figures, self.plan.epochs)
        report = self._cases.checked(site, share, given)
        epochs = report.epochs if site in self._question.training else ()
        self._record.take(site, report.figures, payload(answer.update) + payload(answer.extras), epochs)
        self._record.note(site, report.dropped)
        if site in self._question.training:
            self._take_update(site, answer)

    def _take_images(self, site: str, images: Any) -> None:
        """Keep a site's hashes for the comparison; the site is left out of it where they are of another form."""
        if is_answer(images):
            self._images[site] = images
        else:
            self._quorum.failed(site, OTHER_FORM)

    def _take_statistics(self, site: str, answer: Answer) -> None:
        self._record.take(site, {}, payload(answer.update))
        with contextlib.suppress(UnusableUpdate):  # told with those that are far too large, once all are there
            self._aggregation.add_statistics(site, answer.update, answer.cases)

    def _take_update(self, site: str, answer: Answer) -> None:
        fault = self._record.take_entry(site, answer.entry, self._booked.get(site), self.plan.delta)
        if fault:
            self._say(f"{site}: {fault}")
        self._booked |= self._record.entries
        if answer.withheld:
            self._aggregation.refuse(site, self._holders.without([site]).get(site, WITHHELD))
        elif self.plan.books and site not in self._record.entries:
            why = f" that can be used: {fault}" if fault else ""
            self._aggregation.refuse(site, f"it comes without an entry for the privacy ledger{why}")
        elif not answer.update:
            self._aggregation.refuse(site, "it holds no parameters")
        else:
            try:
                self._aggregation.add(site, answer.update, answer.steps, answer.cases, answer.extras)
            except UnusableUpdate as unusable:
                self._report(str(unusable))

    def refuse(self, site: str, why: str, now: float) -> None:
        """Take it that a site answered with nothing that can be used; where nobody awaits it this changes nothing."""
        self.heard(site, now)
        if site in self._quorum.awaited:
            self._quorum.answered(site)
            self._aggregation.refuse(site, why)

    def fail(self, site: str, why: str) -> None:
        """Take it that a site has failed and will not answer the question that is open."""
        if site in self._quorum.awaited:
            self._quorum.failed(site, in_short(why))

    def is_complete(self, now: float) -> bool:
        """True where nobody is waited for any longer: all have answered, the time is up, or who has not is lost."""
        awaited = self._quorum.awaited
        broken = self._question.kind not in OPTIONAL and self._quorum.is_broken
        return self._is_late(now) or broken or len(self._heartbeats.lost(awaited, now)) == len(awaited)

    def _is_late(self, now: float) -> bool:
        return self._deadline is not None and now > self._deadline

    def close(self, now: float) -> None:
        """End what the open question began: a new model, the record of it and a checkpoint.

        Raises:
            RuntimeError: the run cannot go on; the message names who is missing or refused, and why.
        """
        self._name_the_absent(now)
        if self._question.kind == "images":
            self._compare()
        elif self._question.kind == "unshared":
            self._before = self._record
        elif self._question.kind == "statistics":
            self._end_measurement()
        elif self._question.kind == "train":
            self._end_round(now)
        else:
            self._end_run(now)

    def _name_the_absent(self, now: float) -> None:
        awaited = self._quorum.awaited
        why = f"no answer within {self.plan.round_timeout} s" if self._is_late(now) else NOT_AWAITED
        silent = {site: self._silence_of(site, now) for site in self._heartbeats.lost(awaited, now)}
        self._quorum.close({**dict.fromkeys(awaited, why), **silent})

    def _compare(self) -> None:
        self._quorum.require("the comparison of the sites' data", len(self._images), {})
        self._compared = True
        apart = of_another_key(self._images) if self.plan.min_clients is not None else []
        for site in apart:
            self._say(f"{site} has another DUPLICATES_KEY than most sites; its images are not compared.")
        found = compare({site: {} if site in apart else given for site, given in self._images.items()})
        write_whole(self.files.run / OVERLAPS, (json.dumps(found.document(), indent=2) + "\n").encode())
        errors = errors_of(found.findings)
        if errors:
            raise DataRefused(f"{REFUSED_DATA} {errors[0].sentence}")

    def _end_measurement(self) -> None:
        """Give the model the running statistics that the sites have measured; its own stay where none has."""
        self._change(self._aggregation.combined_statistics())
        for site, why in sorted(self._left_out.items()):
            self._say(f"The running statistics of {site} are not used: {why}.")
        save_weights(_tensors(self._weights), self.files.models / LAST_FILE)
        self._measured, self._before = self._rounds, self._record

    def _change(self, update: Mapping[str, np.ndarray]) -> None:
        self._weights |= {name: np.asarray(self._weights[name] + change) for name, change in update.items()}

    @property
    def _left_out(self) -> dict[str, str]:
        """The sites whose update is no part of the round, and why."""
        return {**self._aggregation.refused, **self._quorum.absent}

    def _end_round(self, now: float) -> None:
        self._aggregation.settle()
        self._even_out()
        self._choose_best()
        try:
            self._quorum.require(f"round {self._rounds + 1}", self._aggregation.usable, self._left_out)
            update = self._aggregation.combined(self._forged)
        except RuntimeError:
            self.checkpoints.add(self._record.document(now, refused=self._left_out, failed=True))
            raise
        self._change(update)
        self._save(now)

    def _forged(self, contributions: Sequence[Contribution]) -> dict[str, Update]:
        """The updates that the run's attackers put in the place of theirs; a note of who has attacked is kept."""
        attack = self._attack
        forged = forged_updates(attack, contributions, [self.plan.seed, self._rounds])
        at_work = attack.sites if attack.attack == "label_flip" else tuple(forged)
        self._attacked = {each.site: attack.attack for each in contributions if each.site in at_work}
        return forged

    @property
    def _facts(self) -> dict[str, Any]:
        """Facts of the open round that not every run's record has: its rate, how much each site counted, attacks."""
        counted, attacked = self._aggregation.counted, self._attacked
        return {**self._rate, **({"counted": counted} if counted else {}), **({"attack": attacked} if attacked else {})}

    def _even_out(self) -> None:
        """Leave in the record what counts: the figures of sites that are part of the round, each with a bounded share.

        The same note on a site is made once, as an honestly large site would have it in each round.
        """
        record, ratio = self._record, self.plan.max_weight_ratio
        left_out = self._left_out
        voters = {site: report for site, report in record.scores.items() if site not in left_out}
        record.scores = evened(voters, self._forms, ratio)
        for site, steps in self._aggregation.steps.items():
            for name in TRAINED:
                if name in record.scores.get(site, {}):
                    record.scores[site][name + VALUES] = int(steps)
        for site, words in self._aggregation.capped.items():
            record.note(site, words)
        fresh = {site: words for site, words in record.notes.items() if self._noted.get(site) != words}
        self._noted |= record.notes
        record.notes = fresh

    def _choose_best(self) -> None:
        """Give the model that was sent a second name, where it is the best so far."""
        if self._best.update(self._record.scores, self._record.number):
            self._record.best = True
            save_weights(_tensors(self._weights), self.files.models / BEST_FILE)
        self._follow(self._record.number, self._record.scores)

    def _follow(self, rounds: int, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Let the schedule and the early end have the score of the model that so many rounds made."""
        follow = self._schedule.follows_scores or self.plan.early_stopping is not None
        if follow and (mean := self._best.mean(scores)) is not None:
            self._schedule.take(rounds, mean)
            self._early.take(rounds, mean)

    @property
    def _rate(self) -> dict[str, float]:
        """The learning rate of the open round for its record, where it is not the same in all rounds."""
        return {LEARNING_RATE: self.plan.learning_rate * self._question.rate_factor} if self._schedule.varies else {}

    def _save(self, now: float) -> None:
        """A round counts once its model and all that belongs to it are on the disk."""
        last, rounds = self.files.models / LAST_FILE, self._best.rounds
        save_weights(_tensors(self._weights), last)
        self.checkpoints.add(self._record.document(now, refused=self._left_out, **self._facts))
        self._rounds += 1
        best = None if rounds is None else BestFile(self.files.models / BEST_FILE, self._best.score, rounds)
        self.checkpoints.save(self._rounds, last, best, self.files.run / EVENTS, self._aggregation.side.state())

    def _end_run(self, now: float) -> None:
        self._over = True
        self._even_out()
        self._choose_best()
        facts: dict[str, Any] = {"stopped": self._stopped} if self._stopped else {}
        self.checkpoints.add(self._record.document(now, final=True, unscored=self._left_out, **facts))


def _arrays(weights: Weights) -> dict[str, np.ndarray]:
    return {name: values.numpy() for name, values in weights.items()}


def _tensors(weights: Mapping[str, np.ndarray]) -> Weights:
    return {name: torch.from_numpy(values) for name, values in weights.items()}
