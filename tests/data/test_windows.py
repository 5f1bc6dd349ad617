"""Sizes of crops and windows, by hand."""

import pytest

from fedmed.data.windows import Size, fit, largest, round_up


@pytest.mark.parametrize(
    ("size", "rounded"), [((1, 8, 9), (8, 8, 16)), ((240, 240, 155), (240, 240, 160)), ((16, 24, 32), (16, 24, 32))]
)
def test_an_edge_is_rounded_up_to_a_multiple(size: Size, rounded: Size) -> None:
    assert round_up(size, 8) == rounded


def test_the_largest_box_takes_the_largest_edge_of_each_axis() -> None:
    assert largest([(10, 40, 5), (20, 30, 5), (1, 1, 7)]) == (20, 40, 7)
    assert largest(iter([(1, 2, 3)])) == (1, 2, 3)


@pytest.mark.parametrize(
    ("window", "volume", "fitted"),
    [
        ((224, 224, 144), (240, 240, 155), (224, 224, 144)),
        ((240, 240, 160), (240, 240, 155), (240, 240, 160)),
        ((224, 224, 144), (40, 36, 32), (40, 40, 32)),
        ((224, 224, 144), (240, 100, 155), (224, 104, 144)),
    ],
)
def test_a_window_shrinks_to_the_volume_padded_for_the_network(window: Size, volume: Size, fitted: Size) -> None:
    assert fit(window, volume, 8) == fitted
