"""Who is there: a site is lost when it has been silent for too long, and no longer when it is heard again."""

import pytest

from fedmed.core.timing import TIMING
from fedmed.server.heartbeats import Heartbeats

START_S = TIMING.site_start_s


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
    heartbeats = Heartbeats(30.0, clock)
    for site in SITES:
        heartbeats.heard(site)
    clock.now += 20
    heartbeats.heard("site-1")
    clock.now += 10
    assert heartbeats.lost(SITES) == []
    clock.now += 1
    assert heartbeats.lost(SITES) == ["site-2"]
    assert heartbeats.silent_s("site-2") == 31
    clock.now += 20
    assert heartbeats.lost(SITES) == SITES


def test_a_site_that_is_heard_again_is_there_again(clock: Clock) -> None:
    heartbeats = Heartbeats(30.0, clock)
    heartbeats.heard("site-1")
    clock.now += 1000
    assert heartbeats.lost(["site-1"]) == ["site-1"]
    heartbeats.heard("site-1")
    assert heartbeats.lost(["site-1"]) == []
    assert heartbeats.silent_s("site-1") == 0


@pytest.mark.parametrize(("silence", "patience"), [(30.0, START_S), (2 * START_S, 2 * START_S)])
def test_a_site_that_was_never_heard_has_the_time_that_a_start_takes(
    clock: Clock, silence: float, patience: float
) -> None:
    heartbeats = Heartbeats(silence, clock)
    clock.now += patience
    assert heartbeats.lost(SITES) == []
    clock.now += 1
    assert heartbeats.lost(SITES) == SITES


def test_without_signs_of_life_nobody_is_ever_lost(clock: Clock) -> None:
    heartbeats = Heartbeats(0.0, clock)
    heartbeats.heard("site-1")
    clock.now += 1e9
    assert heartbeats.lost(SITES) == []


def test_only_those_who_are_asked_about_are_named(clock: Clock) -> None:
    heartbeats = Heartbeats(30.0, clock)
    clock.now += 1000
    assert heartbeats.lost(["site-2"]) == ["site-2"]
    assert heartbeats.lost([]) == []
