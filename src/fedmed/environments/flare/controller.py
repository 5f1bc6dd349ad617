"""FLARE's controller round the server of a federation: it carries questions and answers and decides nothing."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.fl_constant import FLContextKey, FLMetaKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import JobMetaKey
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from nvflare.app_common.workflows.model_controller import ModelController

from fedmed.core.messages import Answer, Question
from fedmed.core.names import (
    EXTRAS,
    GIVES_UNSHARED,
    HEARTBEAT_TOKEN,
    HEARTBEAT_TOPIC,
    MEASURES,
    MESSAGE,
    PRIVACY,
    RATE_FACTOR,
    RECORDS_TOPIC,
    SERVER,
    TRAINING_CASES,
    TRAINS,
    UNSHARED,
    WITHHELD,
)
from fedmed.core.site_folder import site_folder
from fedmed.core.weights import load_weights
from fedmed.data.audit.duplicates_exchange import QUESTION, SHARES
from fedmed.environments.flare.records_handler import RecordsHandler
from fedmed.server.federation_server import OTHER_FORM, FederationServer, ServerFiles
from fedmed.server.plan import ServerPlan

NOTHING = {QUESTION: np.zeros(1, np.float32)}
"""In the place of a model: FLARE sends no message without one."""


class FederationController(ModelController):
    """Sends each question to the sites as a task of FLARE and hands in what comes back.

    Args:
        plan: of the run, as :meth:`fedmed.server.plan.ServerPlan.plain` describes it.
        run_id: common to the jobs that make one run; None where a job is a run of its own.
    """

    def __init__(
        self,
        *args: Any,  # by these names FLARE's exporter knows that base classes take arguments too
        plan: dict[str, Any],
        run_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.plan = plan
        self.run_id = run_id
        self._lock = threading.Lock()  # FLARE calls in threads of its own
        self._server: FederationServer | None = None
        self._task: Task | None = None

    def run(self) -> None:
        run = self.run_id or self.fl_ctx.get_job_id()
        files = ServerFiles(Path(self.get_run_dir()), site_folder(SERVER, run))
        first = self.persistor.first_weights(self.fl_ctx)
        server = FederationServer(
            ServerPlan(**self.plan),
            files,
            lambda: load_weights(first),
            time.monotonic(),
            self.info,
            submitter_of(self.fl_ctx),
        )
        self._server = server
        self.engine.register_aux_message_handler(HEARTBEAT_TOPIC, self._take_heartbeat)
        self.engine.register_app_command(RECORDS_TOPIC, RecordsHandler(server.checkpoints.records))
        try:
            while not self.abort_signal.triggered and (question := self._next(server)):
                self._ask(question)
                if self._wait(server):
                    with self._lock:
                        server.close(time.monotonic())
        finally:
            server.leave()

    def _next(self, server: FederationServer) -> Question | None:
        with self._lock:
            self._task = None  # what comes of the last question's is late from now on
            return server.next([client.name for client in self.engine.get_clients()], time.monotonic())

    def _ask(self, question: Question) -> None:
        self.event(AppEventType.ROUND_STARTED)
        name = AppConstants.TASK_TRAIN if question.kind in ("train", "statistics") else AppConstants.TASK_VALIDATION
        if question.sites:  # FLARE takes an empty list for all
            sites = list(question.sites)
            self.broadcast_model(model_of(question), name, sites, blocking=False, callback=self._take)

    def _prepare_task(self, *args: Any, **kwargs: Any) -> Task:
        self._task = super()._prepare_task(*args, **kwargs)
        return self._task

    def _wait(self, server: FederationServer) -> bool:
        """Wait for the answers; False when the job was ended meanwhile."""
        while self.get_num_standing_tasks():
            with self._lock:
                complete = server.is_complete(time.monotonic())
            if self.abort_signal.triggered:
                return False
            if complete:
                self.cancel_task(self._task)
            time.sleep(self._task_check_period)
        return not self.abort_signal.triggered

    def _take_heartbeat(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        """Note a sign of life of the site whose token it holds, whatever it says of its sender."""
        token = request.get_header(HEARTBEAT_TOKEN)
        site = next((client.name for client in self.engine.get_clients() if token and client.token == token), None)
        if site is None:
            return make_reply(ReturnCode.BAD_PEER_CONTEXT)
        assert self._server is not None
        with self._lock:
            self._server.heard(site, time.monotonic())
        return make_reply(ReturnCode.OK)

    def _process_result(self, client_task: ClientTask, fl_ctx: FLContext) -> None:
        """Hand in a result; one that FLARE could not convert, and so has not handed on, is refused by name."""
        if client_task.task is not self._task:
            self.info(f"{client_task.client.name} answered after its round had ended; its answer is not used.")
            return
        super()._process_result(client_task, fl_ctx)
        assert self._server is not None
        with self._lock:
            if client_task.task is self._task:
                self._server.refuse(client_task.client.name, OTHER_FORM, time.monotonic())

    def _accept_train_result(self, client_name: str, result: Shareable, fl_ctx: FLContext, **how: Any) -> bool:
        """Hand in what is no answer; only the server decides whether that ends the run."""
        if how.get("is_unknown_task"):
            self.info(f"{client_name} answered after its round had ended; its answer is not used.")
            return False
        code = result.get_return_code()
        if not code or code == ReturnCode.OK:
            self.fl_ctx.set_prop(AppConstants.TRAINING_RESULT, result, private=True, sticky=False)
            return True
        assert self._server is not None
        with self._lock:
            if code == ReturnCode.TASK_RESULT_FILTER_ERROR:
                why = "a filter at the site did not let it out; the site's log says why"
                self._server.refuse(client_name, why, time.monotonic())
            else:
                self._server.fail(client_name, f"it failed ({code!s:.80}); its own log says why")
        return False

    def _take(self, result: FLModel) -> None:
        assert self._server is not None
        site, answer = result.meta["client_name"], answer_of(result)
        with self._lock:
            self._server.take(site, answer, time.monotonic())


def submitter_of(fl_ctx: FLContext) -> str | None:
    """The user who submitted the job, as FLARE's server has noted by the user's certificate; None in a simulator."""
    meta = fl_ctx.get_prop(FLContextKey.JOB_META)
    return meta.get(JobMetaKey.SUBMITTER_NAME.value) if isinstance(meta, Mapping) else None


def model_of(question: Question) -> FLModel:
    """A question in the form in which FLARE carries it."""
    if question.kind == "images":
        return FLModel(params=NOTHING, meta={QUESTION: True}, current_round=question.rounds)
    meta: dict[str, Any] = {SHARES: dict(question.shares), TRAINS: list(question.training)}
    meta |= {MEASURES: True} if question.kind == "statistics" else {}
    meta |= {GIVES_UNSHARED: True} if question.kind == "unshared" else {}
    meta |= {UNSHARED: question.unshared} if question.unshared else {}
    meta |= {MESSAGE: dict(question.extras)} if question.extras else {}
    meta[RATE_FACTOR] = question.rate_factor
    return FLModel(params=dict(question.weights), params_type=ParamsType.FULL, current_round=question.rounds, meta=meta)


def answer_of(result: FLModel) -> Answer:
    """An answer that FLARE has carried."""
    meta: Mapping[str, Any] = result.meta or {}
    extras, update = meta.get(EXTRAS), result.params
    return Answer(
        update=update if isinstance(update, Mapping) and result.params_type == ParamsType.DIFF else {},
        steps=meta.get(FLMetaKey.NUM_STEPS_CURRENT_ROUND),
        cases=meta.get(TRAINING_CASES),
        metrics=result.metrics or {},
        entry=meta.get(PRIVACY),
        extras=extras if isinstance(extras, Mapping) else {},
        images=meta.get(QUESTION),
        withheld=bool(meta.get(WITHHELD)),
        unshared=meta.get(UNSHARED),
    )
