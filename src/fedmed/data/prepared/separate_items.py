"""Items of several datasets in one, each made by its own dataset alone."""

from collections.abc import Sequence
from typing import Any

from torch.utils.data import Dataset


class SeparateItems(Dataset[Any]):
    """One dataset of items that belong to several, whose random transforms are seeded as if it had one of them.

    Args:
        items: of each the dataset, whose ``transform`` has MONAI's ``set_random_state``, and its place there.
    """

    def __init__(self, items: Sequence[tuple[Any, int]]) -> None:
        self._items = items
        self._seed = 0

    @property
    def transform(self) -> "SeparateItems":
        """Itself, since each item has the transform of its dataset."""
        return self

    def set_random_state(self, seed: int) -> None:
        """Seed the random transforms of the item that is made next."""
        self._seed = seed

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        dataset, place = self._items[index]
        dataset.transform.set_random_state(self._seed)
        return dataset[place]
