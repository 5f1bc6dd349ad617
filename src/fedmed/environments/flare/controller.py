"""The server's rounds in FLARE: FedAvg's controller, with a quorum, a record and a checkpoint of every round.

FLARE waits for the sites of a round without end. Here a round ends, for good or bad, when all that are there have
answered, or when its time is up. The last model is scored too. Rounds count from 0, as in FLARE.
"""

import contextlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.apis.controller_spec import Task
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from nvflare.app_common.workflows.fedavg import FedAvg

from fedmed.core.files import write_whole
from fedmed.core.names import (
    BEST_FILE,
    EVENTS,
    EXTRAS,
    HEARTBEAT_TOPIC,
    LAST_FILE,
    MESSAGE,
    PRIVACY,
    RECORDS,
    RECORDS_TOPIC,
    SERVER,
)
from fedmed.core.registry import rebuilt
from fedmed.core.site_folder import site_folder
from fedmed.core.timing import TIMING
from fedmed.core.weights import payload
from fedmed.data.audit.duplicates_exchange import OVERLAPS, QUESTION, REFUSED_DATA, SHARES, compare, shares
from fedmed.data.audit.finding import errors_of
from fedmed.environments.flare.aggregator import GuardedAggregator
from fedmed.environments.flare.records_handler import RecordsHandler
from fedmed.privacy.ledger import Entry
from fedmed.server.aggregation import Aggregation
from fedmed.server.best_model import BestModel
from fedmed.server.checkpoint import BestFile, Checkpoint, Checkpoints
from fedmed.server.heartbeats import Heartbeats
from fedmed.server.quorum import RoundQuorum
from fedmed.server.round_record import RoundRecord


class BudgetSpent(Exception):
    """One more round would bring a site's epsilon above the run's budget."""


class GuardedFedAvg(FedAvg):
    """FedAvg with a :class:`GuardedAggregator`.

    Args:
        key_metric: the metric that chooses the best model, as sites report it.
        task: the task's name and options, as in the experiment file.
        split_validation: True where sites that list the same validation cases share the work of scoring them.
        max_epsilon: the privacy budget of a site; the run stops before the round that would exceed it.
        books: True where each update must come with an entry for the privacy ledger.
        needed_updates: as ``min_clients`` of :class:`fedmed.core.settings.Faults`.
        round_timeout: seconds; None is no limit.
        site_silence: seconds after which a site is lost; 0 where sites send no heartbeats.
        run_id: common to the jobs that make one run; None where a job is a run of its own.
    """

    aggregator: GuardedAggregator
    num_rounds: int

    def __init__(
        self,
        *args: Any,  # by these names FLARE's exporter knows that base classes take arguments too
        key_metric: str,
        task: dict[str, Any],
        split_validation: bool,
        max_epsilon: float | None = None,
        books: bool = False,
        needed_updates: int | None = None,
        round_timeout: int | None = None,
        site_silence: float = 0.0,
        run_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.key_metric = key_metric
        self.task = task
        self.split_validation = split_validation
        self.max_epsilon = max_epsilon
        self.books = books
        self.needed_updates = needed_updates
        self.round_timeout = round_timeout
        self.site_silence = site_silence
        self.run_id = run_id
        self._quorum = RoundQuorum([])
        self._heartbeats = Heartbeats(0, time.monotonic)
        self._task: Task | None = None
        self._rounds_done = 0
        self._booked: dict[str, Entry] = {}
        self._answers: dict[str, Any] = {}
        self._stopped = ""

    @property
    def _aggregation(self) -> Aggregation:
        return self.aggregator.aggregation

    def run(self) -> None:
        self._open()
        try:
            self._run()
        finally:
            with contextlib.suppress(OSError):  # the link, which stays then, is as good on this machine
                write_whole(self._run_dir / RECORDS, self._checkpoints.records.read_bytes())

    def _run(self) -> None:
        if self.num_clients > 1 and not self._compare_data():
            return
        try:
            super().run()
        except BudgetSpent as spent:
            self._stopped = str(spent)
            self.info(self._stopped)
        if not self.abort_signal.triggered:
            self._score_last_model()

    @property
    def _run_dir(self) -> Path:
        return Path(self.get_run_dir())

    def _open(self) -> None:
        """Be ready for questions and heartbeats, and take up a run where an earlier job left it."""
        self._heartbeats = Heartbeats(self.site_silence, time.monotonic)
        self.engine.register_aux_message_handler(HEARTBEAT_TOPIC, self._take_heartbeat)
        run = self.run_id or self.fl_ctx.get_job_id()
        self._checkpoints = Checkpoints(site_folder(SERVER, run))
        self._checkpoints.hold()
        self._best = BestModel(self.key_metric, lambda: rebuilt("task", self.task).figures())
        self._all_rounds = self.num_rounds
        earlier = self._checkpoints.load()
        self._checkpoints.begin(earlier)
        (self._run_dir / RECORDS).symlink_to(self._checkpoints.records)  # for whoever follows or fetches this job's
        if earlier is not None:
            self._go_on(earlier)
        self.engine.register_app_command(RECORDS_TOPIC, RecordsHandler(self._checkpoints.records))

    def _take_heartbeat(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        """Called in threads of FLARE."""
        peer: Any = fl_ctx.get_peer_context()
        self._heartbeats.heard(str(peer.get_identity_name()))
        return make_reply(ReturnCode.OK)

    def _go_on(self, earlier: Checkpoint) -> None:
        """Begin with the models, the rounds, the ledgers and the algorithm's state that a checkpoint holds."""
        self.info(f"The run goes on after round {earlier.rounds} of {self.num_rounds}.")
        self.start_round, self.num_rounds = earlier.rounds, max(0, self.num_rounds - earlier.rounds)
        self.persistor.checkpoint = earlier.last
        if earlier.best is not None:
            shutil.copyfile(earlier.best.path, self._models / BEST_FILE)
            self._best.restore(earlier.best.score, earlier.best.rounds)
        self._rounds_done = earlier.rounds
        for record in earlier.records:
            self._booked |= {site: Entry.from_plain(entry) for site, entry in record["privacy"].items()}
        self._aggregation.restore(earlier.algorithm)
        self._checkpoints.take_over_events(earlier, self._run_dir / EVENTS)

    @property
    def _models(self) -> Path:
        return Path(self.get_app_dir())

    def load_model(self) -> FLModel:
        self._model: FLModel = super().load_model()
        return self._model

    def sample_clients(self, num_clients: int | None = None) -> list[str]:
        """All sites that are there; FLARE would take ``num_clients`` of them at random."""
        sites = self._begin_quorum()
        self._quorum.require("the next round", len(sites), {})
        return sites

    def _begin_quorum(self) -> list[str]:
        sites = [client.name for client in self.engine.get_clients()]
        lost = {site: self._silence_of(site) for site in self._heartbeats.lost(sites)}
        self._quorum = RoundQuorum([site for site in sites if site not in lost], lost, self.needed_updates)
        return list(self._quorum.sites)

    def _silence_of(self, site: str) -> str:
        return f"no sign of life for {self._heartbeats.silent_s(site):.0f} s"

    def send_model(self, task_name: str = "train", data: FLModel | None = None, **how: Any) -> None:
        assert data is not None
        if task_name == self.task_name:
            self._stop_within_budget()
        self._model, sites = data, how["targets"]
        answers = {site: self._answers[site] for site in sites if site in self._answers}
        parts = shares(answers) if self.split_validation else {}
        self._aggregation.begin(data.params)
        message = {name: np.asarray(values) for name, values in self._aggregation.side.message().items()}
        size = payload(data.params) + payload(message)
        self._record = RoundRecord(self.current_round, sites, size, split=bool(parts))
        data.meta = {**(data.meta or {}), SHARES: parts, **({MESSAGE: message} if message else {})}
        self._ask(task_name, data, **how)

    def _ask(self, task_name: str, data: FLModel, **how: Any) -> None:
        """The first question waits for the sites to start, too."""
        starting = round(TIMING.site_start_s) if self._task is None else 0
        timeout = self.round_timeout + starting if self.round_timeout else 0
        super().send_model(task_name=task_name, data=data, timeout=timeout, **how)

    def _prepare_task(self, *args: Any, **kwargs: Any) -> Task:
        self._task = super()._prepare_task(*args, **kwargs)
        return self._task

    def get_num_standing_tasks(self) -> int:
        """FLARE asks this again and again while it waits, so here it gives up waiting for sites that are lost."""
        awaited = self._quorum.awaited
        if self._task is not None and awaited and len(self._heartbeats.lost(awaited)) == len(awaited):
            self.cancel_task(self._task)
        standing: int = super().get_num_standing_tasks()
        return standing

    def _close_quorum(self) -> None:
        """Name those who have not answered."""
        late = f"no answer within {self.round_timeout} s" if self.round_timeout else None
        lost = self._heartbeats.lost(self._quorum.awaited)
        silent = {site: self._silence_of(site) for site in self._quorum.awaited}
        self._quorum.close({site: why if site in lost or not late else late for site, why in silent.items()})

    def _stop_within_budget(self) -> None:
        """Raises BudgetSpent where a further round would be one too many for a site."""
        for site, entry in sorted(self._booked.items()):
            after_next = entry.epsilon_next
            if self.max_epsilon is not None and after_next is not None and after_next > self.max_epsilon:
                raise BudgetSpent(
                    f"stopped after {self._rounds_done} of {self._all_rounds} rounds: one more would bring epsilon at "
                    f"{site} to {after_next:.4g}, above the budget of {self.max_epsilon:g}"
                )

    def _accept_train_result(self, client_name: str, result: Shareable, fl_ctx: FLContext, **how: Any) -> bool:
        """Let pass what does not end the run though it is no result: one that is late, withheld, or of a spare site."""
        if how.get("is_unknown_task"):
            self.info(f"{client_name} answered after its round had ended; its answer is not used.")
            return False
        self._heartbeats.heard(client_name)
        self._quorum.answered(client_name)
        code = result.get_return_code()
        if code == ReturnCode.TASK_RESULT_FILTER_ERROR:
            self._aggregation.refuse(client_name, "a filter at the site did not let it out; the site's log says why")
            return False
        if code and code != ReturnCode.OK and self.needed_updates is not None:
            self._aggregation.refuse(client_name, f"it failed ({code}); its own log says why")
            return False
        return super()._accept_train_result(client_name, result, fl_ctx, **how)

    def _aggregate_one_result(self, result: FLModel) -> bool:
        site = result.meta["client_name"]
        self._take(result)
        fault = self._record.take_entry(site, result.meta.get(PRIVACY))
        if fault:
            self.warning(fault)
        self._booked |= self._record.entries
        if self.books and site not in self._record.entries:
            self._aggregation.refuse(site, "it comes without an entry for the privacy ledger")
            return False
        if not result.params:  # FLARE passes over it without a name
            self._aggregation.refuse(site, "it holds no parameters")
            return False
        return super()._aggregate_one_result(result)

    def _take(self, result: FLModel) -> None:
        sent = payload(result.params) + payload(result.meta.get(EXTRAS))
        self._record.take(result.meta["client_name"], result.metrics, sent)

    def _compare_data(self) -> bool:
        """Ask every site for the keyed hashes of its images; False, and the end of the job, where data overlap."""

        def keep(result: FLModel) -> None:
            self._answers[result.meta["client_name"]] = result.meta.get(QUESTION)

        question = FLModel(params={QUESTION: np.zeros(1, np.float32)}, meta={QUESTION: True})
        self._ask("validate", question, targets=self.sample_clients(), callback=keep)
        if not self._all_answered():
            return False
        self._close_quorum()
        self._quorum.require("the comparison of the sites' data", len(self._answers), {})
        found = compare(self._answers)
        document = json.dumps(found.document(), indent=2) + "\n"
        write_whole(self._run_dir / OVERLAPS, document.encode())
        errors = errors_of(found.findings)
        if errors:
            self.panic(f"{REFUSED_DATA} {errors[0].sentence}")
        return not errors

    def _all_answered(self) -> bool:
        """Wait for the sites; False when the job was ended meanwhile."""
        while self.get_num_standing_tasks():
            if self.abort_signal.triggered:
                return False
            time.sleep(self._task_check_period)
        return not self.abort_signal.triggered

    def _get_aggregated_result(self) -> FLModel:
        self._close_quorum()
        self._choose_best()
        self._aggregation.refuse_oversized()
        try:
            self._quorum.require(f"round {self.current_round + 1}", self._aggregation.usable, self._left_out)
            return super()._get_aggregated_result()
        except RuntimeError:
            self._checkpoints.add(self._record.document(refused=self._left_out, failed=True))
            raise

    def _choose_best(self) -> None:
        """Have FLARE's persistor save the model that was sent, where it is the best so far."""
        if self._best.update(self._record.scores, self._record.number):
            self._record.best = True
            self.event(AppEventType.GLOBAL_BEST_MODEL_AVAILABLE)

    @property
    def _left_out(self) -> dict[str, str]:
        """The sites whose update is no part of the round, and why."""
        return {**self._aggregation.refused, **self._quorum.absent}

    def save_model(self, model: FLModel) -> None:
        """A round counts once its model and all that belongs to it are on the disk."""
        super().save_model(model)
        self._checkpoints.add(self._record.document(refused=self._left_out))
        self._rounds_done += 1
        rounds = self._best.rounds
        best = None if rounds is None else BestFile(self._models / BEST_FILE, self._best.score, rounds)
        state = self._aggregation.side.state()
        self._checkpoints.save(self._rounds_done, self._models / LAST_FILE, best, self._run_dir / EVENTS, state)

    def _score_last_model(self) -> None:
        """One more task, ``validate``, for the model that no further round would score."""
        self.current_round = self._model.current_round = self._rounds_done
        self.fl_ctx.set_prop(AppConstants.CURRENT_ROUND, self.current_round, private=True, sticky=False)
        self.event(AppEventType.ROUND_STARTED)
        self._aggregation.begin({})
        sites = self._begin_quorum()
        self._record = RoundRecord(self.current_round, [], 0, split=False)
        if sites:  # FLARE takes an empty list for all
            self.send_model("validate", self._model, targets=sites, callback=self._take)
        if not self._all_answered():
            return
        self._close_quorum()
        self._choose_best()
        facts: dict[str, Any] = {"stopped": self._stopped} if self._stopped else {}
        self._checkpoints.add(self._record.document(final=True, unscored=self._left_out, **facts))
