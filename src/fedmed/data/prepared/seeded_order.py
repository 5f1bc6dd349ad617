"""Random transforms that draw from a seed of each item's own, so that it does not matter which process makes it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import torch
from monai.data import DataLoader
from torch.utils.data import Dataset, Sampler


class Place(NamedTuple):
    """Which item is next, and the 32-bit seed of all that is random in it."""

    item: int
    seed: int


class RandomDataset(Protocol):
    """A dataset whose ``transform`` has MONAI's ``set_random_state``."""

    transform: Any

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


def seeded_batches(dataset: RandomDataset, batch_size: int, workers: int) -> tuple["SeededOrder", "Ahead"]:
    """The dataset's batches, and their order, by which each round restarts them.

    One thread, or ``workers`` processes that last as long as the batches, prepare what comes next.
    """
    order = SeededOrder(len(dataset))
    how: dict[str, Any] = {"batch_size": batch_size, "sampler": order, "generator": torch.Generator()}
    items: Any = SeededItems(dataset)
    return order, Ahead(DataLoader(items, num_workers=workers, persistent_workers=workers > 0, **how))


class Ahead:
    """Batches, of which a thread makes the next one while this one is used.

    MONAI's ThreadDataLoader does so too, but takes an error in the thread for the end of the epoch.
    """

    def __init__(self, batches: DataLoader) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        coming, end = iter(self.batches), object()
        with ThreadPoolExecutor(1) as thread:
            following = thread.submit(next, coming, end)
            while (batch := following.result()) is not end:
                following = thread.submit(next, coming, end)
                yield batch


class SeededItems(Dataset[Any]):
    """The items of ``dataset`` by :class:`Place` instead of by index."""

    def __init__(self, dataset: RandomDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: Place) -> Any:
        self.dataset.transform.set_random_state(place.seed)
        return self.dataset[place.item]


class SeededOrder(Sampler[Place]):
    """Every item once an epoch, in an order and with seeds that follow from ``seed`` alone."""

    def __init__(self, length: int) -> None:
        self.length = length
        self._generator = torch.Generator()
        self._chosen: list[Place] | None = None

    def restart(self, seed: int) -> None:
        """The next epoch is the first one of ``seed``."""
        self._generator.manual_seed(seed)

    def follow(self, places: Sequence[Place]) -> None:
        """The next epochs are these items in this order, with these seeds."""
        self._chosen = list(places)

    def __len__(self) -> int:
        return self.length if self._chosen is None else len(self._chosen)

    def __iter__(self) -> Iterator[Place]:
        if self._chosen is not None:
            return iter(self._chosen)
        order = torch.randperm(self.length, generator=self._generator).tolist()
        seeds = torch.randint(2**32, (self.length,), generator=self._generator).tolist()
        return iter([Place(item, seed) for item, seed in zip(order, seeds, strict=True)])
