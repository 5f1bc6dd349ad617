"""Folds of the toy task: pictures of two sites, each patient's in the test cases of one fold."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.toy.toy_task import make_toy, write_folds


@pytest.fixture
def folds(toy_task: type, tmp_path: Path) -> Callable[..., Path]:
    """Makes the folds of pictures of two sites."""

    def make(folds: int = 2) -> Path:
        make_toy(tmp_path / "toy", cases=4, validation=4)
        return write_folds(tmp_path / "toy", folds)

    return make
