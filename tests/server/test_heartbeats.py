"""Who is there: a site is lost when it has been silent for too long, and no longer when it is heard again."""

import pytest
from nvflare.apis.fl_constant import ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable

from fedmed.server.heartbeats import START_S, TOPIC, Heartbeats


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


SITES = ["site-1", "site-2"]


def test_a_site_that_was_heard_is_lost_after_its_silence_and_not_before(clock: Clock) -> None:
    attendance = Heartbeats(30.0, clock)
    for site in SITES:
        attendance.heard(site)
    clock.now += 20
    attendance.heard("site-1")
    clock.now += 10
    assert attendance.lost(SITES) == []
    clock.now += 1
    assert attendance.lost(SITES) == ["site-2"]
    assert attendance.silent_s("site-2") == 31
    clock.now += 20
    assert attendance.lost(SITES) == SITES


def test_a_site_that_is_heard_again_is_there_again(clock: Clock) -> None:
    attendance = Heartbeats(30.0, clock)
    attendance.heard("site-1")
    clock.now += 1000
    assert attendance.lost(["site-1"]) == ["site-1"]
    attendance.heard("site-1")
    assert attendance.lost(["site-1"]) == []
    assert attendance.silent_s("site-1") == 0


@pytest.mark.parametrize(("silence", "patience"), [(30.0, START_S), (2 * START_S, 2 * START_S)])
def test_a_site_that_was_never_heard_has_the_time_that_a_start_takes(
    clock: Clock, silence: float, patience: float
) -> None:
    attendance = Heartbeats(silence, clock)
    clock.now += patience
    assert attendance.lost(SITES) == []
    clock.now += 1
    assert attendance.lost(SITES) == SITES


def test_without_signs_of_life_nobody_is_ever_lost(clock: Clock) -> None:
    attendance = Heartbeats(0.0, clock)
    attendance.heard("site-1")
    clock.now += 1e9
    assert attendance.lost(SITES) == []


def test_only_those_who_are_asked_about_are_named(clock: Clock) -> None:
    attendance = Heartbeats(30.0, clock)
    clock.now += 1000
    assert attendance.lost(["site-2"]) == ["site-2"]
    assert attendance.lost([]) == []


def test_a_message_of_a_site_is_a_sign_of_that_site_alone(clock: Clock) -> None:
    attendance = Heartbeats(30.0, clock)
    clock.now += 1000
    peer, context = FLContext(), FLContext()
    peer.set_prop(ReservedKey.IDENTITY_NAME, "site-2", private=False)
    context.set_peer_context(peer)
    assert attendance.take_sign(TOPIC, Shareable(), context).get_return_code() == ReturnCode.OK
    assert attendance.lost(SITES) == ["site-1"]
