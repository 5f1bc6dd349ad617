"""Sideways and inverted films are told from upright ones, whatever their exposure; a site's share is named."""

import numpy as np
import pytest

from fedmed.data.chest_xray.orientation import Orientation, orientation_of, site_warnings
from fedmed.data.chest_xray.thorax import random_chest
from fedmed.data.phantoms.chest_xray_phantom import PROFILES, chest_xray_phantom
from tests.data.chest_xray.written_films import pixels

UPRIGHT, LEFT = Orientation(0, False, 0.0), Orientation(1, False, 0.5)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_each_form_is_seen_as_what_it_is(turns: int, inverted: bool) -> None:
    for number in range(6):
        rng = np.random.default_rng(number)
        film = chest_xray_phantom(rng, random_chest(rng), ("Effusion",), PROFILES[number % 3])
        shown = np.ascontiguousarray(np.rot90(255 - film if inverted else film, turns))
        seen = orientation_of(shown)
        assert seen is not None
        assert (seen.turns, seen.inverted) == (turns, inverted)
        assert seen.suspicious == ((turns, inverted) != (0, False))


def test_exposure_and_size_decide_nothing() -> None:
    film = pixels().astype(np.float32) / 255
    one = orientation_of(film)
    for other in (film**3, 0.2 * film + 0.5, np.kron(film, np.ones((3, 2), np.float32))):
        found = orientation_of(other)
        assert one is not None
        assert found is not None
        assert (found.turns, found.inverted) == (one.turns, one.inverted) == (0, False)


def test_a_film_of_one_value_has_no_form() -> None:
    assert orientation_of(np.full((64, 64), 7, np.uint8)) is None


def test_forms_in_words() -> None:
    assert UPRIGHT.form == ""
    assert Orientation(2, True, 1.0).form == "upside down and inverted (air is white)"


def test_a_site_is_warned_of_the_share_that_is_turned() -> None:
    (sentence,) = site_warnings("site-2", [LEFT] * 3 + [UPRIGHT] * 7)
    assert sentence.startswith("30 % of the 10 films of site-2 look turned by a quarter to the left")
    assert site_warnings("site-2", [LEFT] + [UPRIGHT] * 9) == []  # one may be a mistake
    assert site_warnings("site-2", [LEFT] * 2 + [UPRIGHT] * 98) == []
    assert len(site_warnings("site-2", [LEFT] * 5 + [Orientation(0, True, 1.0)] * 5)) == 2
    assert site_warnings("site-2", [Orientation(1, False, 0.01)] * 9) == []  # no lead
    assert site_warnings("site-2", []) == site_warnings("site-2", [None] * 5) == []
