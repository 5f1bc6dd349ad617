"""A site's own models: the last one whatever it scored, the best one by the score."""

from pathlib import Path

import torch

from fedmed.core.names import BEST_OWN, LAST_OWN
from fedmed.core.weights import load_weights
from fedmed.site.own_models import OwnModels


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.full((2, 3), value)}


def value_of(path: Path) -> float:
    return float(load_weights(path)["w"].unique())


def test_the_best_stays_when_a_later_one_is_worse(tmp_path: Path) -> None:
    kept = OwnModels(tmp_path / "site-1")
    for number, score in enumerate([0.3, 0.7, None, 0.7, 0.5], start=1):
        kept.keep(weights(number))
        kept.keep_if_best(weights(number), score)
    assert value_of(tmp_path / "site-1" / BEST_OWN) == 2  # the first of equals
    assert value_of(tmp_path / "site-1" / LAST_OWN) == 5


def test_without_any_score_there_is_no_best(tmp_path: Path) -> None:
    kept = OwnModels(tmp_path)
    kept.keep(weights(1))
    kept.keep_if_best(weights(1), None)
    assert [path.name for path in tmp_path.iterdir()] == [LAST_OWN]


def test_a_score_of_0_is_a_score(tmp_path: Path) -> None:
    OwnModels(tmp_path).keep_if_best(weights(1), 0.0)
    assert value_of(tmp_path / BEST_OWN) == 1
