"""Folds of the toy task: pictures of two sites, each patient's in the test cases of one fold."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fedmed.data.datalist import write_datalist
from tests.toy.toy_task import make_toy

Lists = dict[str, list[dict[str, object]]]


def write_folds(data: Path, folds: int = 2) -> Path:
    """Write ``folds/fold-<n>`` of the pictures that :func:`make_toy` left in ``data``; the folder of the folds."""
    place = data / "folds"
    for site in ("site-1", "site-2", "site-All"):
        lists: Lists = json.loads((data / "datalist" / f"{site}.json").read_text())
        for number in range(folds):
            tested = lists["training"][number::folds]
            training = [case for case in lists["training"] if case not in tested]
            path = place / f"fold-{number + 1}" / f"{site}.json"
            write_datalist(path, training, lists["validation"], testing=tested)
    return place


@pytest.fixture
def folds(toy_task: type, tmp_path: Path) -> Callable[..., Path]:
    """Makes the folds of pictures of two sites."""

    def make(folds: int = 2) -> Path:
        make_toy(tmp_path / "toy", cases=4, validation=4)
        return write_folds(tmp_path / "toy", folds)

    return make
