"""The server's rounds: FLARE's FedAvg, with a record and a checkpoint of every round, and a score for the last model.

FLARE waits for the sites of a round without end. Here a round ends, for good or bad, when all that are there have
answered, or when its time is up (faults.py). Rounds count from 0, as in FLARE.
"""

import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.apis.controller_spec import Task
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from nvflare.app_common.workflows.fedavg import FedAvg

from fedmed.algorithms.updates import payload
from fedmed.core.files import write_whole
from fedmed.data.audit.duplicates_exchange import OVERLAPS, QUESTION, SHARES, compare, shares
from fedmed.data.audit.finding import errors_of
from fedmed.environments.flare.aggregator import GuardedAggregator
from fedmed.privacy.ledger import Entry, site_folder
from fedmed.runs.cross_site_matrix import BEST_FILE, LAST_FILE
from fedmed.runs.history import best_round
from fedmed.server import heartbeats, round_records
from fedmed.server.checkpoint import Checkpoint, Checkpoints
from fedmed.server.quorum import RoundCall
from fedmed.server.round_record import RoundRecord

REFUSED_DATA = "The sites' data cannot be used together:"
SERVER = "server"
"""As a site's folder bears its name, the server's bears this, which no site may have."""

EVENTS = "tb_events"
SELECTOR = "model_selector"


class BudgetSpent(Exception):
    """One more round would bring a site's epsilon above the run's budget."""


class GuardedFedAvg(FedAvg):
    """FedAvg with a :class:`GuardedAggregator`.

    Args:
        split_validation: whether sites that list the same validation cases share the work of scoring them.
        max_epsilon: the privacy budget of a site; the run stops before the round that would exceed it.
        books: whether each update must come with an entry for the privacy ledger.
        needed_updates: as ``min_clients`` of :class:`fedmed.core.faults.Faults`.
        round_timeout: seconds; None is no limit.
        site_silence: seconds after which a site is lost; 0 where sites give no signs of life.
        run_id: what the jobs have in common that make one run; None where a job is a run of its own.
    """

    aggregator: GuardedAggregator
    num_rounds: int

    def __init__(
        self,
        *args: Any,  # by these names FLARE's exporter knows that base classes take arguments too
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
        self.split_validation = split_validation
        self.max_epsilon = max_epsilon
        self.books = books
        self.needed_updates = needed_updates
        self.round_timeout = round_timeout
        self.site_silence = site_silence
        self.run_id = run_id
        self._call = RoundCall([])
        self._attendance = heartbeats.Attendance(0)
        self._task: Task | None = None
        self._records: list[dict[str, Any]] = []
        self._booked: dict[str, Entry] = {}
        self._answers: dict[str, Any] = {}
        self._stopped = ""

    def run(self) -> None:
        self._open()
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

    @property
    def _rounds_done(self) -> int:
        return len(self._records)

    def _open(self) -> None:
        """Be ready for questions and signs of life, and take up a run where an earlier job left it."""
        self._attendance = heartbeats.Attendance(self.site_silence)
        self.engine.register_aux_message_handler(heartbeats.TOPIC, self._attendance.take_sign)
        self.engine.register_app_command(
            round_records.TOPIC, round_records.Teller(self._run_dir / round_records.RECORDS)
        )
        run = self.run_id or self.fl_ctx.get_job_id()
        self._checkpoints = Checkpoints(site_folder(SERVER, run))
        self._checkpoints.hold()
        self._all_rounds = self.num_rounds
        earlier = self._checkpoints.load()
        if earlier is not None:
            self._go_on(earlier)

    def _go_on(self, earlier: Checkpoint) -> None:
        """Begin with the model, the best model, the rounds and the ledgers that a checkpoint holds."""
        self.info(f"The run goes on after round {earlier.rounds} of {self.num_rounds}.")
        self.start_round, self.num_rounds = earlier.rounds, max(0, self.num_rounds - earlier.rounds)
        self.persistor.checkpoint = earlier.last
        if earlier.best is not None and earlier.best_score is not None:
            shutil.copyfile(earlier.best, self._models / BEST_FILE)
            self.engine.get_component(SELECTOR).best_val_metric = earlier.best_score
        self._records = earlier.records
        for record in earlier.records:
            self._booked |= {site: Entry.from_plain(entry) for site, entry in record["privacy"].items()}
        told = [{**record, round_records.EARLIER: True} for record in earlier.records]
        round_records.write_records(self._run_dir / round_records.RECORDS, told)
        self._checkpoints.take_over_events(earlier, self._run_dir / EVENTS)

    @property
    def _models(self) -> Path:
        return Path(self.get_app_dir())

    def load_model(self) -> FLModel:
        self._model: FLModel = super().load_model()
        return self._model

    def sample_clients(self, num_clients: int | None = None) -> list[str]:
        """All sites that are there; FLARE would take ``num_clients`` of them at random."""
        sites = self._call_the_roll()
        self._call.require("the next round", len(sites), {})
        return sites

    def _call_the_roll(self) -> list[str]:
        sites = [client.name for client in self.engine.get_clients()]
        lost = {site: self._silence_of(site) for site in self._attendance.lost(sites)}
        self._call = RoundCall([site for site in sites if site not in lost], lost, self.needed_updates)
        return list(self._call.sites)

    def _silence_of(self, site: str) -> str:
        return f"no sign of life for {self._attendance.silent_s(site):.0f} s"

    def send_model(self, task_name: str = "train", data: FLModel | None = None, **how: Any) -> None:
        assert data is not None
        if task_name == self.task_name:
            self._stop_within_budget()
        self._model, sites = data, how["targets"]
        told = {site: self._answers[site] for site in sites if site in self._answers}
        parts = shares(told) if self.split_validation else {}
        self._round = RoundRecord(self.current_round, sites, payload(data.params), split=bool(parts))
        data.meta = {**(data.meta or {}), SHARES: parts}
        self.aggregator.expect(data.params)
        self._ask(task_name, data, **how)

    def _ask(self, task_name: str, data: FLModel, **how: Any) -> None:
        """The first question waits for the sites to start, too."""
        starting = math.ceil(heartbeats.START_S) if self._task is None else 0
        timeout = self.round_timeout + starting if self.round_timeout else 0
        super().send_model(task_name=task_name, data=data, timeout=timeout, **how)

    def _prepare_task(self, *args: Any, **kwargs: Any) -> Task:
        self._task = super()._prepare_task(*args, **kwargs)
        return self._task

    def get_num_standing_tasks(self) -> int:
        """FLARE asks this again and again while it waits, so here it gives up waiting for sites that are lost."""
        awaited = self._call.awaited
        if self._task is not None and awaited and len(self._attendance.lost(awaited)) == len(awaited):
            self.cancel_task(self._task)
        standing: int = super().get_num_standing_tasks()
        return standing

    def _close_call(self) -> None:
        """Name those who have not answered."""
        late = f"no answer within {self.round_timeout} s" if self.round_timeout else None
        lost = self._attendance.lost(self._call.awaited)
        silent = {site: self._silence_of(site) for site in self._call.awaited}
        self._call.close({site: why if site in lost or not late else late for site, why in silent.items()})

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        super().handle_event(event_type, fl_ctx)
        if event_type == AppEventType.GLOBAL_BEST_MODEL_AVAILABLE:
            self._round.best = True

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
        """What does not end the run though it is no result: one that is late, or kept back, or of a site to spare."""
        if how.get("is_unknown_task"):
            self.info(f"{client_name} answered after its round had ended; its answer is not used.")
            return False
        self._attendance.heard(client_name)
        self._call.answered(client_name)
        code = result.get_return_code()
        if code == ReturnCode.TASK_RESULT_FILTER_ERROR:
            self.aggregator.refused[client_name] = "a filter at the site did not let it out; the site's log says why"
            return False
        if code and code != ReturnCode.OK and self.needed_updates is not None:
            self.aggregator.refused[client_name] = f"it failed ({code}); its own log says why"
            return False
        return super()._accept_train_result(client_name, result, fl_ctx, **how)

    def _aggregate_one_result(self, result: FLModel) -> bool:
        site = result.meta["client_name"]
        self._round.take(result)
        fault = self._round.take_entry(result)
        if fault:
            self.warning(fault)
        self._booked |= self._round.entries
        if self.books and site not in self._round.entries:
            self.aggregator.refused[site] = "it comes without an entry for the privacy ledger"
            return False
        if not result.params:  # FLARE passes over it without a name
            self.aggregator.refused[site] = "it holds no parameters"
            return False
        return super()._aggregate_one_result(result)

    def _compare_data(self) -> bool:
        """Ask every site for the keyed hashes of its images; False, and the end of the job, where data overlap."""

        def keep(result: FLModel) -> None:
            self._answers[result.meta["client_name"]] = result.meta.get(QUESTION)

        question = FLModel(params={QUESTION: np.zeros(1, np.float32)}, meta={QUESTION: True})
        self._ask("validate", question, targets=self.sample_clients(), callback=keep)
        if not self._all_answered():
            return False
        self._close_call()
        self._call.require("the comparison of the sites' data", len(self._answers), {})
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
        self._close_call()
        self.aggregator.refuse_oversized()
        try:
            self._call.require(f"round {self.current_round + 1}", len(self.aggregator.updates), self._left_out)
            return super()._get_aggregated_result()
        except RuntimeError:
            failed = self._round.document(refused=self._left_out, failed=True)
            round_records.add_record(self._run_dir / round_records.RECORDS, failed)
            raise

    @property
    def _left_out(self) -> dict[str, str]:
        """Whose update is no part of the round, and why."""
        return {**self.aggregator.refused, **self._call.absent}

    def save_model(self, model: FLModel) -> None:
        """A round counts once its model and all that belongs to it are on the disk."""
        super().save_model(model)
        self._records.append(self._round.document(refused=self._left_out))
        self._checkpoint()
        round_records.add_record(self._run_dir / round_records.RECORDS, self._records[-1])

    def _checkpoint(self) -> None:
        made, score = best_round(self._records), self.engine.get_component(SELECTOR).best_val_metric
        best = None if made is None else (self._models / BEST_FILE, float(score), made)
        self._checkpoints.save(self._models / LAST_FILE, best, self._records, self._run_dir / EVENTS)

    def _score_last_model(self) -> None:
        """One more task, ``validate``, for the model that no further round would score."""
        self.current_round = self._model.current_round = self._rounds_done
        self.fl_ctx.set_prop(AppConstants.CURRENT_ROUND, self.current_round, private=True, sticky=False)
        self.event(AppEventType.ROUND_STARTED)
        self.aggregator.reset_stats()
        sites = self._call_the_roll()
        self._round = RoundRecord(self.current_round, [], 0, split=False)
        if sites:  # FLARE takes an empty list for all
            self.send_model("validate", self._model, targets=sites, callback=self._keep_score)
        if not self._all_answered():
            return
        self._close_call()
        self.event(AppEventType.BEFORE_AGGREGATION)
        facts: dict[str, Any] = {"stopped": self._stopped} if self._stopped else {}
        record = self._round.document(final=True, unscored=self._left_out, **facts)
        round_records.add_record(self._run_dir / round_records.RECORDS, record)

    def _keep_score(self, result: FLModel) -> None:
        self._round.take(result)
