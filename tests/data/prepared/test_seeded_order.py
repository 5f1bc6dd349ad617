"""What an epoch draws follows from its seed, whichever process draws it."""

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import Dataset
from monai.transforms import Compose, RandomizableTransform, Transform

from fedmed.data.prepared.seeded_order import SeededItem, seeded_batches


class Noise(RandomizableTransform):
    """A number and the item."""

    def __call__(self, data: int) -> torch.Tensor:
        return torch.tensor([data, self.R.random()], dtype=torch.float64)


def epochs(seed: int, count: int = 2, workers: int = 0, items: int = 7, batch: int = 2) -> list[torch.Tensor]:
    dataset: Any = Dataset(list(range(items)), Compose([Noise(), Noise2()]))
    order, batches = seeded_batches(dataset, batch, workers)
    order.restart(seed)
    return [torch.cat(list(batches)) for _ in range(count)]


class Noise2(RandomizableTransform):
    def __call__(self, data: torch.Tensor) -> torch.Tensor:
        return torch.cat([data, torch.tensor([self.R.random()], dtype=torch.float64)])


def test_every_item_comes_once_an_epoch_in_another_order_with_other_noise() -> None:
    first, second = epochs(5)
    for epoch in (first, second):
        assert sorted(epoch[:, 0].tolist()) == list(range(7))
        assert len({*epoch[:, 1].tolist(), *epoch[:, 2].tolist()}) == 14
    assert not set(first[:, 1].tolist()) & set(second[:, 1].tolist())
    assert first[:, 0].tolist() != second[:, 0].tolist()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_seed_gives_the_same_epochs_whatever_happened_before(workers: int) -> None:
    expected = epochs(5)
    torch.manual_seed(workers)
    np.random.seed(workers)
    for one, other in zip(epochs(5, workers=workers), expected, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(epochs(6)[0], expected[0])


def test_batches_can_be_restarted() -> None:
    dataset: Any = Dataset(list(range(5)), Compose([Noise()]))
    order, batches = seeded_batches(dataset, 1, 2)
    draws = []
    for seed in (1, 2, 1):
        order.restart(seed)
        draws.append(torch.cat(list(batches)))
    assert torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[1])


@pytest.mark.parametrize(
    ("items", "batch", "sizes"), [(7, 2, [2, 2, 2]), (7, 3, [3, 3]), (8, 3, [3, 3, 2]), (1, 4, [1]), (3, 1, [1, 1, 1])]
)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_last_batch_of_one_can_be_left_out(items: int, batch: int, sizes: list[int], workers: int) -> None:
    order, batches = seeded_batches(Dataset(list(range(items)), Compose([Noise()])), batch, workers, drop_single=True)
    for seed in (1, 2):
        order.restart(seed)
        assert [len(each) for each in batches] == sizes
    assert len(batches) == len(sizes)


def test_by_default_every_item_is_in_a_batch() -> None:
    assert [len(each) for each in seeded_batches(Dataset([1, 2, 3], Compose([Noise()])), 2, 0)[1]] == [2, 1]


def test_chosen_items_come_in_their_order_and_number() -> None:
    order, batches = seeded_batches(Dataset(list(range(9)), Compose([Noise()])), 2, 0)
    order.follow([SeededItem(4, 1), SeededItem(4, 1), SeededItem(0, 2)])
    assert len(batches) == 2
    first, second = batches
    assert torch.equal(first[0], first[1])
    assert second[:, 0].tolist() == [0]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_ends_the_epoch_as_an_error(workers: int) -> None:
    dataset: Any = Dataset([3, 2, 1, 0], Compose([Division(), Noise()]))
    _, batches = seeded_batches(dataset, 1, workers)
    with pytest.raises(Exception, match=r"division by zero|applying transform"):
        list(batches)


class Division(Transform):
    def __call__(self, data: int) -> float:
        return 1 / data


def test_the_batches_draw_nothing_from_the_global_generator() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    epochs(5)
    assert torch.equal(torch.rand(4), expected)


def test_a_share_of_the_items_is_drawn_anew_for_each_epoch() -> None:
    dataset: Any = Dataset(list(range(40)), Compose([Noise()]))
    order, batches = seeded_batches(dataset, 4, 0, share=0.25)
    order.restart(3)
    drawn = [[int(item) for item in torch.cat(list(batches))[:, 0]] for _ in range(50)]
    assert len(batches) == 3  # of 10 items
    assert all(len(set(epoch)) == 10 for epoch in drawn)
    counts = np.bincount(np.concatenate(drawn), minlength=40)
    assert counts.min() > 0  # 12.5 in the mean, (3/4)^50 for none
    assert seeded_batches(dataset, 4, 0, share=0.001)[0].__len__() == 1


def test_items_are_drawn_by_their_weights_and_anew_for_each_epoch() -> None:
    dataset: Any = Dataset(list(range(400)), Compose([Noise()]))
    weights = [3.0] * 100 + [0.0] * 100 + [1.0] * 200
    order, batches = seeded_batches(dataset, 8, 0, share=0.5, weights=weights)
    order.restart(3)
    epochs = [torch.cat([batch[:, 0] for batch in batches]).int().tolist() for _ in range(2)]
    assert epochs[0] != epochs[1]
    for items in epochs:
        counts = np.bincount(np.digitize(items, [100, 200]), minlength=3)
        assert counts.sum() == 200
        assert counts[1] == 0
        assert 100 < counts[0] < 140  # 3 of 5 expected, 120 with a deviation of 7
    order.restart(3)
    assert torch.cat([batch[:, 0] for batch in batches]).int().tolist() == epochs[0]
