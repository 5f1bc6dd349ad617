"""Items of several datasets: each is its own dataset's, drawn from the seed that was set last."""

import monai.transforms as mt
import numpy as np
import pytest
from monai.data import CacheDataset

from fedmed.data.prepared.separate_items import SeparateItems

Sets = dict[str, CacheDataset]


@pytest.fixture
def sets() -> Sets:
    numbers = {"one": [0.0, 10.0], "other": [100.0]}
    return {
        name: CacheDataset(
            [np.array([value]) for value in values],
            mt.Compose([mt.ToTensor(), mt.RandShiftIntensity(offsets=0.5, prob=1.0)]),
            progress=False,
        )
        for name, values in numbers.items()
    }


def test_every_item_is_that_of_its_own_dataset(sets: Sets) -> None:
    items = SeparateItems([(sets["one"], 0), (sets["other"], 0), (sets["one"], 1)])
    items.transform.set_random_state(3)
    assert len(items) == 3
    assert [round(float(items[place]), -1) for place in range(3)] == [0, 100, 10]


def test_an_item_follows_from_its_seed_alone(sets: Sets) -> None:
    items = SeparateItems([(sets["one"], 0), (sets["other"], 0), (sets["one"], 1)])
    sets["one"].transform.set_random_state(7)
    expected = float(sets["one"][1])
    for before in ([], [0], [1, 0, 1]):
        for place in before:
            items.transform.set_random_state(place)
            items[place]
        items.transform.set_random_state(7)
        assert float(items[2]) == expected
    items.transform.set_random_state(8)
    assert float(items[2]) != expected
