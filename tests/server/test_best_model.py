"""The selector: every case counts once, the untrained model is no candidate, the final score is heard."""

import math
from typing import Any

import pytest
from nvflare.apis.dxo import DXO, DataKind, MetaKey
from nvflare.apis.fl_constant import FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType

from fedmed.environments.flare.model_selector import WeightedSelector


class Watched(WeightedSelector):
    """Keeps the events that it fires."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.fired: list[str] = []

    def fire_event(self, event_type: str, fl_ctx: FLContext) -> None:
        self.fired.append(event_type)


def training(**scores: Any) -> Shareable:
    return DXO(DataKind.WEIGHT_DIFF, data={"w": 1.0}, meta={MetaKey.INITIAL_METRICS: scores}).to_shareable()


def validation(**scores: Any) -> Shareable:
    return DXO(DataKind.METRICS, data=scores).to_shareable()


def play(selector: WeightedSelector, number: int, answers: list[Shareable]) -> float:
    """One round's events; answers with the mean score that the selector found."""
    context = FLContext()
    context.set_prop(AppConstants.CURRENT_ROUND, number, private=True, sticky=False)
    selector.handle_event(AppEventType.ROUND_STARTED, context)
    selector.val_metric = -math.inf
    for answer in answers:
        peer = FLContext()
        peer.set_prop(FLContextKey.SHAREABLE, answer, private=True)
        context.set_peer_context(peer)
        selector.handle_event(AppEventType.BEFORE_CONTRIBUTION_ACCEPT, context)
    selector.handle_event(AppEventType.BEFORE_AGGREGATION, context)
    return float(selector.val_metric)


@pytest.fixture
def selector() -> Watched:
    return Watched(key_metric="val_dice")


def test_a_score_counts_as_often_as_it_has_cases(selector: Watched) -> None:
    answers = [training(val_dice=0.9, val_cases=1), training(val_dice=0.5, val_cases=3)]
    assert play(selector, 1, answers) == pytest.approx((0.9 + 3 * 0.5) / 4)


def test_a_site_that_states_no_cases_counts_as_one(selector: Watched) -> None:
    assert play(selector, 1, [training(val_dice=0.9), training(val_dice=0.5, val_cases=1)]) == pytest.approx(0.7)


def test_the_untrained_model_is_no_candidate(selector: Watched) -> None:
    assert play(selector, 0, [training(val_dice=0.9, val_cases=1)]) == -math.inf
    assert selector.fired == []
    play(selector, 1, [training(val_dice=0.1, val_cases=1)])
    assert selector.fired == [AppEventType.GLOBAL_BEST_MODEL_AVAILABLE]


def test_only_a_better_model_is_announced(selector: Watched) -> None:
    announced = []
    for number, dice in enumerate([0.5, 0.4, 0.5, 0.6, 0.2], start=1):
        play(selector, number, [training(val_dice=dice, val_cases=2)])
        announced.append(len(selector.fired))
    assert announced == [1, 1, 1, 2, 2]


def test_the_final_validation_is_heard(selector: Watched) -> None:
    play(selector, 1, [training(val_dice=0.5, val_cases=2)])
    answers = [validation(val_dice=0.9, val_cases=1), validation(val_dice=0.5, val_cases=3)]
    assert play(selector, 2, answers) == pytest.approx(0.6)
    assert len(selector.fired) == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None, "0.9", True])
def test_a_score_that_is_no_number_is_left_out(selector: Watched, bad: Any) -> None:
    answers = [training(val_dice=bad, val_cases=9), training(val_dice=0.5, val_cases=1)]
    assert play(selector, 1, answers) == pytest.approx(0.5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0, -1, None, "3"])
def test_a_number_of_cases_that_is_no_weight_is_left_out(selector: Watched, bad: Any) -> None:
    answers = [training(val_dice=0.9, val_cases=bad), training(val_dice=0.5, val_cases=1)]
    assert play(selector, 1, answers) == pytest.approx(0.5)


def test_an_answer_without_a_score_is_left_out(selector: Watched) -> None:
    silent = DXO(DataKind.WEIGHT_DIFF, data={"w": 1.0}).to_shareable()
    answers = [silent, training(val_dice=0.5, val_cases=1), training(val_loss=0.1, val_cases=5)]
    assert play(selector, 1, answers) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "other", [make_reply(ReturnCode.EXECUTION_EXCEPTION), Shareable({"no": "dxo"})], ids=["failed", "foreign"]
)
def test_a_failed_or_foreign_answer_is_left_out(selector: Watched, other: Shareable) -> None:
    answers = [other, training(val_dice=0.5, val_cases=1)]
    assert play(selector, 1, answers) == pytest.approx(0.5)


def test_a_round_that_nobody_scored_chooses_nothing(selector: Watched) -> None:
    play(selector, 1, [make_reply(ReturnCode.EXECUTION_EXCEPTION)])
    assert selector.fired == []


def test_rounds_do_not_mix(selector: Watched) -> None:
    play(selector, 1, [training(val_dice=0.9, val_cases=100)])
    assert play(selector, 2, [training(val_dice=0.5, val_cases=1)]) == pytest.approx(0.5)


def test_lower_may_be_better() -> None:
    selector = Watched(key_metric="val_loss", negate_key_metric=True)
    announced = []
    for number, loss in enumerate([0.5, 0.6, 0.4], start=1):
        play(selector, number, [training(val_loss=loss, val_cases=1)])
        announced.append(len(selector.fired))
    assert announced == [1, 1, 2]
