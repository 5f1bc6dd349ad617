"""Splits of the hippocampus set: nobody lost, nobody on two sides, sites that differ as the way says."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fedmed.core.errors import InputError
from fedmed.data.hippocampus.hippocampus_layout import SOURCES, CaseMeasures, HippocampusCase
from fedmed.data.hippocampus.hippocampus_split import HippocampusSplitOptions, split_hippocampus

COUNTS = {"8-bit": 40, "thousands": 139, "millions": 19}
"""As many cases of each source as in the set's public part."""

CASES = [HippocampusCase(Path(f"images/h_{i:03d}.nii.gz"), Path(f"labels/h_{i:03d}.nii.gz")) for i in range(198)]
_SOURCES = np.random.default_rng(0).permutation(np.repeat(list(COUNTS), list(COUNTS.values())))
MEASURES = {
    case.name: CaseMeasures(str(source), volume)
    for case, source, volume in zip(CASES, _SOURCES, np.random.default_rng(1).normal(3.3, 0.4, 198), strict=True)
}

WAYS = {
    "source": HippocampusSplitOptions(),
    "source per site": HippocampusSplitOptions(validation="per_site", sites=6),
    "iid": HippocampusSplitOptions("iid"),
    "volume": HippocampusSplitOptions("volume", sites=5),
    "quantity": HippocampusSplitOptions("quantity"),
    "dirichlet": HippocampusSplitOptions("dirichlet", alpha=0.3),
    "dirichlet volume": HippocampusSplitOptions("dirichlet", over="volume", test=0.1),
}


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_every_case_is_in_one_part_and_the_test_is_no_sites(options: HippocampusSplitOptions) -> None:
    split = split_hippocampus(CASES, options.completed(), MEASURES)
    assert sorted(case.name for case in split.cases) == [case.name for case in CASES]
    assert len(split.test) == round((options.test or 0) * 198)
    assert len(split.sites) == (options.sites or 4)
    assert split_hippocampus(CASES[::-1], options.completed(), MEASURES) == split


def test_every_way_has_the_same_test_and_shared_validation() -> None:
    ways = ("source", "iid", "volume", "quantity", "dirichlet")
    options = [HippocampusSplitOptions(way).completed() for way in ways]  # type: ignore[arg-type]
    splits = [split_hippocampus(CASES, each, MEASURES) for each in options]
    assert all(split.test == splits[0].test for split in splits)
    assert all(split.validation == splits[0].validation for split in splits)
    found = [MEASURES[case.name].source for case in splits[0].test]
    assert {source: found.count(source) for source in SOURCES} == {"8-bit": 8, "thousands": 28, "millions": 4}


def test_sites_by_source_have_one_source_each_and_the_largest_is_divided_evenly() -> None:
    split = split_hippocampus(CASES, HippocampusSplitOptions().completed(), MEASURES)
    assert list(split.groups.values()) == ["8-bit", "millions", "thousands", "thousands"]
    for site, cases in split.sites.items():
        assert {MEASURES[case.name].source for case in cases} == {split.groups[site]}
    third, fourth = (len(split.sites[site]) for site in ("site-3", "site-4"))
    assert abs(third - fourth) <= 1


def test_sites_by_volume_are_in_order_of_it() -> None:
    split = split_hippocampus(CASES, HippocampusSplitOptions("volume").completed(), MEASURES)
    volumes = [[MEASURES[case.name].volume_ml for case in cases] for cases in split.sites.values()]
    assert all(max(less) <= min(more) for less, more in pairwise(volumes))


def test_fewer_sites_than_sources_are_refused() -> None:
    with pytest.raises(InputError, match="--sites is 2; expected at least 3, one for each of 8-bit, millions, thous"):
        split_hippocampus(CASES, HippocampusSplitOptions(sites=2).completed(), MEASURES)


@pytest.mark.parametrize(
    "options", [HippocampusSplitOptions("iid", alpha=1.0), HippocampusSplitOptions("source", over="volume")]
)
def test_an_option_that_does_nothing_is_refused(options: HippocampusSplitOptions) -> None:
    with pytest.raises(InputError, match="makes no use of it"):
        options.completed()
