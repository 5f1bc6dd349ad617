"""Profiles of sites: alike at strength 0, apart at strength 1, and decided by seed and site alone."""

from dataclasses import asdict, fields

import numpy as np
import pytest

from fedmed.data.phantoms.site_profile import RANGES, SiteProfile, site_profile


def logs(profile: SiteProfile) -> np.ndarray:
    return np.log(np.concatenate([np.atleast_1d(value) for value in asdict(profile).values()]))


def test_no_strength_is_the_common_profile() -> None:
    assert {site_profile(seed, site, 0.0) for seed in (0, 7) for site in range(5)} == {SiteProfile()}


def test_one_seed_and_site_give_one_profile() -> None:
    assert site_profile(3, 2, 1.0) == site_profile(3, 2, 1.0)
    assert len({site_profile(seed, site, 1.0) for seed in (0, 1) for site in range(8)}) == 16


def test_every_value_lies_in_its_range() -> None:
    assert set(RANGES) == {field.name for field in fields(SiteProfile)}
    for site in range(16):
        for name, value in asdict(site_profile(1, site, 1.0)).items():
            low, high = RANGES[name]
            assert low <= np.min(value)
            assert np.max(value) <= high


@pytest.mark.parametrize("seed", range(4))
def test_two_sites_lie_in_different_halves_and_four_in_different_quarters(seed: int) -> None:
    widths = [np.size(value) for value in asdict(SiteProfile()).values()]
    low, high = np.repeat(np.log(list(RANGES.values())), widths, axis=0).T
    places = np.stack([(logs(site_profile(seed, site, 1.0)) - low) / (high - low) for site in range(4)])
    assert ((places[:2] < 0.5).sum(axis=0) == 1).all()
    assert (np.sort(np.floor(4 * places), axis=0) == np.arange(4)[:, None]).all()


def test_strength_moves_every_value_in_proportion() -> None:
    common, half, full = (logs(site_profile(0, 1, strength)) for strength in (0.0, 0.5, 1.0))
    assert np.allclose(half - common, (full - common) / 2)
