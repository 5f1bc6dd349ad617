"""The heat map: drawn without a screen, whatever the matrix holds, and different where a number is."""

import io
import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from fedmed.runs.cross_site_picture import OUTLINE, picture


def scored(sites: int, *, models: tuple[str, ...] = ("global", "best global")) -> pd.DataFrame:
    names = [f"site-{number}" for number in range(1, sites + 1)]
    values = np.random.default_rng(0).uniform(0.5, 0.9, (len(models) + sites, sites + 1))
    return pd.DataFrame(values, index=[*models, *names], columns=[*names, "mean"])


def pixels(matrix: pd.DataFrame, caption: str = "run-001") -> np.ndarray:
    return imread(io.BytesIO(picture(matrix, "val_dice", caption)), format="png")[..., :3]


def outlined(image: np.ndarray) -> int:
    """Pixels of the outlines' colour."""
    colour = [int(OUTLINE[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return int((np.abs(image - colour).max(axis=-1) < 0.02).sum())


def test_it_grows_with_the_sites() -> None:
    small, large = pixels(scored(2)), pixels(scored(12))
    assert large.shape[0] > small.shape[0]
    assert large.shape[1] > 1.5 * small.shape[1]


def test_a_site_without_a_column_of_its_own_has_no_outline() -> None:
    whole = scored(3)
    assert outlined(pixels(whole)) > outlined(pixels(whole.drop(index="site-2"))) > 100
    assert outlined(pixels(whole.loc[["global"]])) == 0


def test_a_number_that_changes_is_seen() -> None:
    one, other = scored(2), scored(2)
    other.loc["global", "site-2"] = 0.7
    assert not np.array_equal(pixels(one), pixels(other))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [math.nan, 0.0, 0.8], ids=["no score at all", "all 0", "all equal"])
def test_a_matrix_without_any_difference_is_drawn_too(value: float) -> None:
    matrix = scored(2)
    matrix[:] = value
    assert pixels(matrix).std() > 0.01
