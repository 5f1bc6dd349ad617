"""Random transforms that draw from a seed of each item's own, so that any process makes the same item."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import torch
from monai.data import DataLoader
from torch.utils.data import Dataset, Sampler


class SeededItem(NamedTuple):
    """The index of an item, and the 32-bit seed of all that is random in it."""

    item: int
    seed: int


class RandomDataset(Protocol):
    """A dataset whose ``transform`` has MONAI's ``set_random_state``."""

    transform: Any

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


def seeded_batches(
    dataset: RandomDataset,
    batch_size: int,
    workers: int,
    drop_single: bool = False,
    share: float = 1.0,
    weights: Sequence[float] | None = None,
) -> tuple["SeededOrder", "Prefetcher"]:
    """The dataset's batches, and their order, by which each round restarts them.

    One thread, or ``workers`` processes that last as long as the batches, prepare the next batch.

    Args:
        dataset: the items.
        batch_size: items a batch; the last one may have fewer.
        workers: processes; 0 for a thread.
        drop_single: leave out a last batch of one item, in which batch normalisation of a 1 x 1 map has no variance. A
            batch size of 1, or an epoch of one item, is left as it is.
        share: of the items that make an epoch, at least one of them, drawn anew for each.
        weights: of the items, by which an epoch draws them with replacement; None where none comes twice.
    """
    order = SeededOrder(len(dataset), share, weights)
    batches = BatchedOrder(order, batch_size, drop_single)
    how: dict[str, Any] = {"batch_sampler": batches, "generator": torch.Generator()}
    items: Any = SeededDataset(dataset)
    return order, Prefetcher(DataLoader(items, num_workers=workers, persistent_workers=workers > 0, **how))


class Prefetcher:
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


class SeededDataset(Dataset[Any]):
    """The items of ``dataset`` by :class:`SeededItem` instead of by index."""

    def __init__(self, dataset: RandomDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, seeded: SeededItem) -> Any:
        self.dataset.transform.set_random_state(seeded.seed)
        return self.dataset[seeded.item]


class SeededOrder(Sampler[SeededItem]):
    """Every item once an epoch, or a share of them, in an order and with seeds that follow from ``seed`` alone.

    With ``weights`` an epoch has as many items, drawn by these with replacement.
    """

    def __init__(self, length: int, share: float = 1.0, weights: Sequence[float] | None = None) -> None:
        self.length = length
        self._weights = None if weights is None else torch.tensor(weights, dtype=torch.float64)
        self._taken = max(1, round(length * share))
        self._generator = torch.Generator()
        self._chosen: list[SeededItem] | None = None

    def restart(self, seed: int) -> None:
        """The next epoch is the first one of ``seed``."""
        self._generator.manual_seed(seed)

    def follow(self, items: Sequence[SeededItem]) -> None:
        """The next epochs are these items in this order, with these seeds."""
        self._chosen = list(items)

    def __len__(self) -> int:
        return self._taken if self._chosen is None else len(self._chosen)

    def __iter__(self) -> Iterator[SeededItem]:
        if self._chosen is not None:
            return iter(self._chosen)
        order = self._drawn().tolist()
        seeds = torch.randint(2**32, (self.length,), generator=self._generator).tolist()
        items = [SeededItem(item, seed) for item, seed in zip(order, seeds, strict=True)]
        return iter(items[: self._taken])

    def _drawn(self) -> torch.Tensor:
        if self._weights is None:
            return torch.randperm(self.length, generator=self._generator)
        return torch.multinomial(self._weights, self.length, replacement=True, generator=self._generator)


class BatchedOrder(Sampler[list[SeededItem]]):
    """The items of an order in batches; their number follows the order's length."""

    def __init__(self, order: SeededOrder, batch_size: int, drop_single: bool) -> None:
        self.order, self.batch_size, self.drop_single = order, batch_size, drop_single

    def __len__(self) -> int:
        return -(-self._used() // self.batch_size)

    def __iter__(self) -> Iterator[list[SeededItem]]:
        items = list(self.order)[: self._used()]  # drawn at the first batch: DataLoader may ask for an unused iterator
        for first in range(0, len(items), self.batch_size):
            yield items[first : first + self.batch_size]

    def _used(self) -> int:
        """The number of items that are in a batch."""
        items = len(self.order)
        alone = self.batch_size > 1 and items > 1 and items % self.batch_size == 1
        return items - (self.drop_single and alone)
