"""Sizes of crops and windows, in voxels."""

from collections.abc import Iterable

Size = tuple[int, int, int]


def round_up(size: Iterable[int], divisor: int) -> Size:
    """Each edge rounded up to a multiple of ``divisor``."""
    x, y, z = (-(-edge // divisor) * divisor for edge in size)
    return x, y, z


def largest(sizes: Iterable[Size]) -> Size:
    """The smallest box that holds every one of ``sizes``."""
    x, y, z = (max(edges) for edges in zip(*sizes, strict=True))
    return x, y, z


def fit(window: Size, volume: Size, divisor: int) -> Size:
    """``window``, shrunk on each axis to what ``volume`` needs when padded to a multiple of ``divisor``."""
    x, y, z = (min(pair) for pair in zip(window, round_up(volume, divisor), strict=True))
    return x, y, z
