"""Who is there: a site is lost when it has been silent for too long, and no longer when it is heard again."""

import pytest

from fedmed.core.timing import TIMING
from fedmed.server.heartbeats import Heartbeats

START_S = TIMING.site_start_s
BEGAN = 1000.0
SITES = ["site-1", "site-2"]


def test_a_site_that_was_heard_is_lost_after_its_silence_and_not_before() -> None:
    heartbeats = Heartbeats(30.0, BEGAN)
    for site in SITES:
        heartbeats.heard(site, BEGAN)
    heartbeats.heard("site-1", BEGAN + 20)
    assert heartbeats.lost(SITES, BEGAN + 30) == []
    assert heartbeats.lost(SITES, BEGAN + 31) == ["site-2"]
    assert heartbeats.silent_s("site-2", BEGAN + 31) == 31
    assert heartbeats.lost(SITES, BEGAN + 51) == SITES


def test_a_site_that_is_heard_again_is_there_again() -> None:
    heartbeats = Heartbeats(30.0, BEGAN)
    heartbeats.heard("site-1", BEGAN)
    assert heartbeats.lost(["site-1"], BEGAN + 1000) == ["site-1"]
    heartbeats.heard("site-1", BEGAN + 1000)
    assert heartbeats.lost(["site-1"], BEGAN + 1000) == []
    assert heartbeats.silent_s("site-1", BEGAN + 1000) == 0


@pytest.mark.parametrize(("silence", "patience"), [(30.0, START_S), (2 * START_S, 2 * START_S)])
def test_a_site_that_was_never_heard_has_the_time_that_a_start_takes(silence: float, patience: float) -> None:
    heartbeats = Heartbeats(silence, BEGAN)
    assert heartbeats.lost(SITES, BEGAN + patience) == []
    assert heartbeats.lost(SITES, BEGAN + patience + 1) == SITES


def test_without_signs_of_life_nobody_is_ever_lost() -> None:
    heartbeats = Heartbeats(0.0, BEGAN)
    heartbeats.heard("site-1", BEGAN)
    assert heartbeats.lost(SITES, BEGAN + 1e9) == []


def test_only_those_who_are_asked_about_are_named() -> None:
    heartbeats = Heartbeats(30.0, BEGAN)
    assert heartbeats.lost(["site-2"], BEGAN + 1000) == ["site-2"]
    assert heartbeats.lost([], BEGAN + 1000) == []
