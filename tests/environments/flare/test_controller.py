"""FLARE's controller carries: questions and answers arrive as they were, and what is no answer reaches the server."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import nvflare.client as flare
import pytest
import torch
from nvflare.apis.client import Client
from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.fl_constant import FLContextKey, ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

import client
from fedmed.core.messages import Answer, Question
from fedmed.core.names import HEARTBEAT_TOKEN, HEARTBEAT_TOPIC
from fedmed.core.timing import TIMING
from fedmed.environments.flare import controller as module
from fedmed.environments.flare.controller import FederationController, answer_of, model_of, submitter_of
from fedmed.server.federation_server import FederationServer, ServerFiles
from fedmed.server.plan import ServerPlan

WEIGHTS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(4)}
PLAN = ServerPlan(
    task={"name": "brats18"},
    algorithm={"name": "fedavg"},
    entries={"trainable": ["w"], "statistics": [], "counters": ["n"]},
    sites=["site-1", "site-2"],
    rounds=1,
    key_metric="val_dice",
    site_silence=30.0,
)


def over_the_wire(model: FLModel) -> FLModel:
    """The model as FLARE hands it on at the other side."""
    arrived: FLModel = FLModelUtils.from_shareable(FLModelUtils.to_shareable(model))
    return arrived


def train_question(**changed: Any) -> Question:
    told: dict[str, Any] = {
        "kind": "train",
        "rounds": 3,
        "sites": ("site-1",),
        "training": ("site-1", "site-2"),
        "weights": WEIGHTS,
        "shares": {"site-1": (0, 2), "site-2": (1, 2)},
        "extras": {"control": np.ones(3, np.float32)},
        "rate_factor": 0.25,
    }
    return Question(**{**told, **changed})


@pytest.mark.parametrize(
    "question",
    [
        train_question(),
        train_question(training=("site-2",), shares={}, extras={}),
        train_question(kind="score", training=(), extras={}),
        Question("images", 3, ("site-1",)),
    ],
    ids=["train", "train elsewhere", "score", "images"],
)
def test_a_question_arrives_as_it_was_asked(question: Question, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flare, "is_train", lambda: question.kind == "train")
    arrived = client.question_of(over_the_wire(model_of(question)), "site-1")
    assert (arrived.kind, arrived.rounds, arrived.sites) == (question.kind, question.rounds, ("site-1",))
    assert (arrived.training, dict(arrived.shares)) == (question.training, dict(question.shares))
    assert arrived.rate_factor == question.rate_factor
    for given, found in ((question.weights, arrived.weights), (question.extras, arrived.extras)):
        assert set(given) == set(found)
        assert all(np.array_equal(found[name], values) for name, values in given.items())


ANSWERS = {
    "update": Answer(
        {"w": np.full((2, 3), 0.5, np.float32), "n": np.array(2)},
        steps=2,
        cases=8,
        metrics={"val_dice": 0.5, "val_cases": 3},
        entry={"site": "site-1", "round": 4},
        extras={"control": np.ones(3, np.float32)},
    ),
    "scores": Answer(metrics={"val_dice": 0.5, "val_cases": 3}),
    "images": Answer(metrics={"val_cases": 0}, images={}),
    "hashes": Answer(metrics={"val_cases": 2}, images={"training": ["ab"], "validation": []}),
    "withheld": Answer(metrics={"val_cases": 0}, withheld=True),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_arrives_as_it_was_given(name: str) -> None:
    given, found = ANSWERS[name], answer_of(over_the_wire(client.model_of(ANSWERS[name])))
    told = ("steps", "cases", "metrics", "entry", "images", "withheld")
    assert {key: getattr(found, key) for key in told} == {key: getattr(given, key) for key in told}
    for sent, arrived in ((given.update, found.update), (given.extras, found.extras)):
        assert set(sent) == set(arrived)
        for key, values in sent.items():
            assert np.asarray(arrived[key]).tobytes() == values.tobytes()
            assert np.asarray(arrived[key]).dtype == values.dtype


@pytest.mark.parametrize("kind", [ParamsType.FULL, None])
def test_whole_weights_are_no_update(kind: ParamsType | None) -> None:
    given = FLModel(params={"w": torch.ones(2)}, params_type=kind, meta={"NUM_STEPS_CURRENT_ROUND": 2})
    assert answer_of(over_the_wire(given)).update == {}


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The seconds that the controller reads."""
    clock = SimpleNamespace(s=0.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock.s)
    return clock


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., FederationController]:
    """Makes a controller whose server has asked both sites for the hashes of their images."""

    def make(**changed: Any) -> FederationController:
        plan = ServerPlan(**{**PLAN.plain(), **changed})
        made = FederationController(persistor_id="persistor", plan=plan.plain())
        made.fl_ctx = FLContext()
        files = ServerFiles(tmp_path / "run", tmp_path / "state")
        made._server = FederationServer(
            plan, files, lambda: {name: torch.from_numpy(values) for name, values in WEIGHTS.items()}, 0.0
        )
        made._server.next(plan.sites, 0.0)
        return made

    return make


def awaited(made: FederationController) -> list[str]:
    assert made._server is not None
    return made._server._quorum.awaited


SITES = ["site-1", "site-2"]
CLIENTS = [Client("site-1", "secret-1"), Client("site-2", "secret-2")]
"""As FLARE's server knows them."""


def heartbeat(token: str | None, says: str) -> tuple[str, Shareable, FLContext]:
    """A sign of life with a token, whose sender calls itself by a name."""
    peer, context, sign = FLContext(), FLContext(), Shareable()
    peer.set_prop(ReservedKey.IDENTITY_NAME, says, private=False)
    context.set_peer_context(peer)
    if token is not None:
        sign.set_header(HEARTBEAT_TOKEN, token)
    return HEARTBEAT_TOPIC, sign, context


@pytest.mark.parametrize("says", ["site-1", "site-2", "nobody"])
def test_a_heartbeat_is_a_sign_of_the_site_whose_token_it_holds_whatever_it_says(
    says: str, asked: Callable[..., FederationController], now: SimpleNamespace
) -> None:
    made = asked()
    made.engine = SimpleNamespace(get_clients=lambda: CLIENTS)
    now.s = TIMING.site_start_s + 1
    assert made._take_heartbeat(*heartbeat("secret-2", says)).get_return_code() == ReturnCode.OK
    assert made._server is not None
    assert made._server._heartbeats.lost(SITES, now.s) == ["site-1"]


@pytest.mark.parametrize("token", [None, "", "secret-3"])
def test_a_heartbeat_without_a_sites_token_is_nobodys(
    token: str | None, asked: Callable[..., FederationController], now: SimpleNamespace
) -> None:
    made = asked()
    made.engine = SimpleNamespace(get_clients=lambda: [*CLIENTS, Client("site-3", "")])
    now.s = TIMING.site_start_s + 1
    assert made._take_heartbeat(*heartbeat(token, "site-2")).get_return_code() == ReturnCode.BAD_PEER_CONTEXT
    assert made._server is not None
    assert made._server._heartbeats.lost(SITES, now.s) == SITES


@pytest.mark.parametrize(
    ("meta", "submitter"),
    [({"submitter_name": "lead@research.org"}, "lead@research.org"), ({"name": "job"}, None), (None, None)],
)
def test_the_submitter_is_whom_flares_server_has_noted(meta: dict[str, str] | None, submitter: str | None) -> None:
    context = FLContext()
    context.set_prop(FLContextKey.JOB_META, meta, private=True)
    assert submitter_of(context) == submitter


def handed_in(made: FederationController, result: Shareable, *, late: bool = False) -> None:
    """Let FLARE hand in a result of site-1 for the task that is open, or for an earlier one."""
    task = Task("train", Shareable(), props={AppConstants.TASK_PROP_CALLBACK: made._take, AppConstants.META_DATA: {}})
    given = ClientTask(CLIENTS[0], Task("train", Shareable()) if late else task)
    given.result, made._task = result, task
    made._process_result(given, made.fl_ctx)


def test_a_result_that_flare_cannot_convert_is_refused_by_name(asked: Callable[..., FederationController]) -> None:
    made = asked(min_clients=1)
    made.event = lambda *_: None
    handed_in(made, Shareable({"DXO": "nothing of the kind"}))
    assert awaited(made) == ["site-2"]


def test_a_result_of_an_earlier_task_answers_no_later_question(asked: Callable[..., FederationController]) -> None:
    made = asked(min_clients=1)
    handed_in(made, FLModelUtils.to_shareable(client.model_of(ANSWERS["images"])), late=True)
    assert awaited(made) == SITES


def test_a_failure_is_a_site_that_is_missing_and_a_filters_refusal_is_an_answer(
    asked: Callable[..., FederationController],
) -> None:
    made = asked(min_clients=1)
    assert not made._accept_train_result("site-1", make_reply(ReturnCode.EXECUTION_EXCEPTION), made.fl_ctx)
    assert not made._accept_train_result("site-2", make_reply(ReturnCode.TASK_RESULT_FILTER_ERROR), made.fl_ctx)
    assert made._server is not None
    assert awaited(made) == []
    assert made._server._quorum.absent.keys() == {"site-1"}
    assert "a filter at the site" in made._server._aggregation.refused["site-2"]


def test_a_result_is_handed_in_under_the_name_of_the_site(asked: Callable[..., FederationController]) -> None:
    made = asked()
    assert made._accept_train_result("site-1", make_reply(ReturnCode.OK), made.fl_ctx)
    assert made.fl_ctx.get_prop(AppConstants.TRAINING_RESULT) is not None  # which FLARE's events read
    result = over_the_wire(client.model_of(ANSWERS["images"]))
    result.meta["client_name"] = "site-1"
    made._take(result)
    assert awaited(made) == ["site-2"]


def test_a_late_result_is_not_used(asked: Callable[..., FederationController]) -> None:
    made = asked()
    assert not made._accept_train_result("site-1", make_reply(ReturnCode.OK), made.fl_ctx, is_unknown_task=True)
    assert awaited(made) == ["site-1", "site-2"]


def test_flare_can_export_it() -> None:
    made = FederationController(persistor_id="persistor", plan=PLAN.plain(), run_id="a-run", task_check_period=0.1)
    assert (made.plan, made.run_id, made._task_check_period) == (PLAN.plain(), "a-run", 0.1)
