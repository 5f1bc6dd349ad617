"""Algorithms with a state or a part of their own, and attacks: a run killed again and again ends as if it were not."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fedmed.core.messages import Question
from fedmed.experiment import Experiment
from tests.algorithms.whole_federation import Killed, WholeFederation

ALGORITHMS = [
    ("partial", "--share", "layers.1,layers.4,layers.8", "--private", "layers.8"),
    ("fedbn",),
    ("norm_clip", "--attack", "gaussian", "--attackers", "site-2"),
    ("fedopt", "--server_optimizer", "yogi"),
    ("scaffold", "--optimizer", "sgd", "--learning_rate", "0.1"),
    ("ditto",),
]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda arguments: arguments[0])
def test_killed_once_at_every_moment_it_ends_with_the_same_bits(
    algorithm: tuple[str, ...],
    toy_experiment: Callable[..., Experiment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    experiment = toy_experiment("--batch_norm", "--num_rounds", "3", "--algorithm", *algorithm)
    whole, moments = WholeFederation(experiment, tmp_path / "whole", monkeypatch), Moments()
    whole.on = moments.note
    whole.run()
    survived = Moments()
    while True:  # each time in new processes of all, which are killed at the first moment that nobody was killed at
        cut = WholeFederation(experiment, tmp_path / "cut", monkeypatch)
        cut.on = survived.kill
        try:
            cut.run()
            break
        except Killed:
            survived.begin()
    assert survived.known >= {moment for moment in moments.known if moment[0] != "unshared"}  # which is sent once
    assert len(survived.known) > 12
    assert cut.bits == whole.bits


class Moments:
    """The moments of a run: a question is asked, or has so many answers."""

    def __init__(self) -> None:
        self.known = set[tuple[str, int, int]]()
        self._place: tuple[str, int, int] = ("", 0, 0)

    def begin(self) -> None:
        """A new job has come to no moment yet."""
        self._place = ("", 0, 0)

    def note(self, moment: str, question: Question) -> bool:
        """Note a moment; True where it is new."""
        answers = self._place[2] + 1 if moment == "answered" else 0
        self._place = (question.kind, question.rounds, answers)
        if moment == "closed" or self._place in self.known:
            return False
        self.known.add(self._place)
        return True

    def kill(self, moment: str, question: Question) -> None:
        """Kill at a moment that is new."""
        if self.note(moment, question):
            raise Killed
