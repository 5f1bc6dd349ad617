"""The server's rounds: FLARE's FedAvg, a record of every round, and a score for the last model."""

import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from nvflare.app_common.workflows.fedavg import FedAvg

from fedmed.algorithms.updates import payload
from fedmed.data.exchange import OVERLAPS, QUESTION, SHARES, Share, compare, shares
from fedmed.data.finding import errors_of
from fedmed.errors import InputError
from fedmed.files import write_whole
from fedmed.metrics import CASES
from fedmed.privacy.ledger import PRIVACY, Entry
from fedmed.server.aggregator import GuardedAggregator
from fedmed.server.progress import RECORDS, TOPIC, Teller

REFUSED_DATA = "The sites' data cannot be used together:"


class BudgetSpent(Exception):
    """One more round would bring a site's epsilon above the run's budget."""


class GuardedFedAvg(FedAvg):
    """FedAvg with a :class:`GuardedAggregator`. Rounds count from 0, as in FLARE."""

    aggregator: GuardedAggregator

    def __init__(
        self, *args: Any, split_validation: bool, max_epsilon: float | None = None, books: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)  # by these names FLARE's exporter knows that base classes take arguments too
        self.split_validation = split_validation
        self.max_epsilon = max_epsilon
        self.books = books  # whether each update must come with an entry for the privacy ledger
        self._booked: dict[str, Entry] = {}
        self._rounds_done = 0
        self._stopped = ""
        self._shares: dict[str, Share] = {}

    def run(self) -> None:
        self.engine.register_app_command(TOPIC, Teller(Path(self.get_run_dir()) / RECORDS))
        if self.num_clients > 1 and not self._compare_data():
            return
        try:
            super().run()
        except BudgetSpent as spent:
            self._stopped = str(spent)
            self.info(self._stopped)
        if not self.abort_signal.triggered:
            self._score_last_model()

    def send_model(self, task_name: str = "train", data: FLModel | None = None, **how: Any) -> None:
        assert data is not None
        if task_name == self.task_name:
            self._stop_within_budget()
        self._sent_at, self._best, self._model = time.time(), False, data
        self._scores: dict[str, dict[str, float]] = {}
        self._of_round: dict[str, Entry] = {}
        size = payload(data.params)
        self._bytes = {site: {"received": size, "sent": 0} for site in how["targets"]}
        data.meta = {**(data.meta or {}), SHARES: self._shares}
        self.aggregator.expect(data.params)
        super().send_model(task_name=task_name, data=data, **how)

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        super().handle_event(event_type, fl_ctx)
        if event_type == AppEventType.GLOBAL_BEST_MODEL_AVAILABLE:
            self._best = True

    def _stop_within_budget(self) -> None:
        """Raises BudgetSpent where a further round would be one too many for a site."""
        for site, entry in sorted(self._booked.items()):
            after_next = entry.epsilon_next
            if self.max_epsilon is not None and after_next is not None and after_next > self.max_epsilon:
                raise BudgetSpent(
                    f"stopped after {self._rounds_done} of {self.num_rounds} rounds: one more would bring epsilon at "
                    f"{site} to {after_next:.4g}, above the budget of {self.max_epsilon:g}"
                )

    def _aggregate_one_result(self, result: FLModel) -> bool:
        self._keep_score(result)
        self._keep_entry(result)
        if self.books and result.meta["client_name"] not in self._of_round:
            self.aggregator.refused[result.meta["client_name"]] = "it comes without an entry for the privacy ledger"
            return False
        if not result.params:  # FLARE passes over it without a name
            self.aggregator.refused[result.meta["client_name"]] = "it holds no parameters"
            return False
        return super()._aggregate_one_result(result)

    def _accept_train_result(self, client_name: str, result: Shareable, fl_ctx: FLContext, **how: Any) -> bool:
        """A site whose own filter keeps its result back is left out of the round; other failures end the job."""
        if result.get_return_code() == ReturnCode.TASK_RESULT_FILTER_ERROR:
            self.aggregator.refused[client_name] = "a filter at the site did not let it out; the site's log says why"
            return False
        return super()._accept_train_result(client_name, result, fl_ctx, **how)

    def _compare_data(self) -> bool:
        """Ask every site for the keyed hashes of its images; False, and the end of the job, where data overlap."""
        answers: dict[str, Any] = {}

        def keep(result: FLModel) -> None:
            answers[result.meta["client_name"]] = result.meta.get(QUESTION)

        question = FLModel(params={QUESTION: np.zeros(1, np.float32)}, meta={QUESTION: True})
        sites = self.sample_clients(self.num_clients)
        super().send_model("validate", question, targets=sites, callback=keep)
        if not self._all_answered():
            return False
        found = compare(answers)
        document = json.dumps(found.document(), indent=2) + "\n"
        write_whole(Path(self.get_run_dir()) / OVERLAPS, document.encode())
        errors = errors_of(found.findings)
        self._shares = shares(answers) if self.split_validation and not errors else {}
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
        try:
            return super()._get_aggregated_result()
        except RuntimeError:
            self._record(refused=self.aggregator.refused)
            raise

    def save_model(self, model: FLModel) -> None:
        super().save_model(model)
        self._rounds_done += 1
        self._record(refused=self.aggregator.refused)  # a round counts once its model is on the disk

    def _score_last_model(self) -> None:
        """One more task, ``validate``, for the model that no further round would score."""
        self.current_round = self._model.current_round = self.start_round + self._rounds_done
        self.fl_ctx.set_prop(AppConstants.CURRENT_ROUND, self.current_round, private=True, sticky=False)
        self.event(AppEventType.ROUND_STARTED)
        sites = self.sample_clients(self.num_clients)
        self.send_model("validate", self._model, targets=sites, callback=self._keep_score)
        if not self._all_answered():
            return
        self.event(AppEventType.BEFORE_AGGREGATION)
        self._record(final=True, **({"stopped": self._stopped} if self._stopped else {}))

    def _keep_score(self, result: FLModel) -> None:
        """What the site measured, and how much it sent."""
        numbers = {n: v for n, v in (result.metrics or {}).items() if isinstance(v, int | float) and math.isfinite(v)}
        self._scores[result.meta["client_name"]] = numbers
        self._bytes[result.meta["client_name"]]["sent"] += payload(result.params)

    def _keep_entry(self, result: FLModel) -> None:
        """What the site's privacy ledger says of the round, as far as it is well-formed."""
        told, site = (result.meta or {}).get(PRIVACY), result.meta["client_name"]
        if told is None:
            return
        try:
            entry = Entry.from_plain(told)
        except InputError as error:
            self.warning(f"{site}: {error}")
            return
        if entry.site != site:
            self.warning(f"{site} sent a ledger entry of {entry.site}; it is not taken over.")
            return
        self._of_round[site] = self._booked[site] = entry

    def _record(self, **facts: Any) -> None:
        record = {
            "round": self.current_round,
            "seconds": round(time.time() - self._sent_at, 3),
            "best": self._best,
            "split": bool(self._shares),
            "privacy": {site: asdict(entry) for site, entry in sorted(self._of_round.items())},
            "sites": {site: {CASES: 1, **self._scores[site]} for site in sorted(self._scores)},
            "bytes": dict(sorted(self._bytes.items())),  # of the arrays of parameters, without what surrounds them
            **facts,
        }
        with (Path(self.get_run_dir()) / RECORDS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
