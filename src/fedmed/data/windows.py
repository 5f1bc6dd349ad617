"""Sizes of crops and windows in voxels, of any number of axes."""

from collections.abc import Iterable
from typing import TypeVar

Size = tuple[int, int, int]
"""(X, Y, Z) of a volume."""

AnySize = TypeVar("AnySize", bound=tuple[int, ...])
"""The size of a volume or of a picture; those that a function takes have the same number of axes."""


def round_up(size: AnySize, divisor: int) -> AnySize:
    """Each edge rounded up to a multiple of ``divisor``."""
    return tuple(-(-edge // divisor) * divisor for edge in size)  # type: ignore[return-value]


def largest(sizes: Iterable[AnySize]) -> AnySize:
    """The smallest box that holds every one of ``sizes``."""
    return tuple(max(edges) for edges in zip(*sizes, strict=True))  # type: ignore[return-value]


def fit(window: AnySize, image: AnySize, divisor: int) -> AnySize:
    """``window``, shrunk on each axis to what ``image`` needs when padded to a multiple of ``divisor``."""
    return tuple(min(pair) for pair in zip(window, round_up(image, divisor), strict=True))  # type: ignore[return-value]
