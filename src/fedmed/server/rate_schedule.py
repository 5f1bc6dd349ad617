"""The learning rate over the rounds, as the share of it with which all sites train in a round."""

import math

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

FALL = 0.5
"""The factor of a step of ``plateau``."""

LEAST_GAIN = 1e-4
"""A score is better than the best so far where it is larger by more."""


class RateSchedule:
    """The schedule of a run. It follows from the round's number and the scores so far, so that a resumed run that is
    given the same scores goes on with it.

    Args:
        kind: ``constant``, ``cosine`` or ``plateau``.
        rounds: of the run.
        warmup_rounds: the first ones, in which the rate rises in equal steps; after them the schedule begins.
        patience: scores without a better one after which ``plateau`` halves the rate with the next such score.
    """

    def __init__(self, kind: str, rounds: int, warmup_rounds: int = 0, patience: int = 0) -> None:
        self.kind, self._rounds, self._warmup = kind, rounds, warmup_rounds
        self._rate = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        self._rule = ReduceLROnPlateau(
            self._rate, "max", factor=FALL, patience=patience, threshold=LEAST_GAIN, threshold_mode="abs"
        )

    @property
    def varies(self) -> bool:
        """True where the factor is not 1 in all rounds."""
        return self.kind != "constant" or self._warmup > 0

    @property
    def follows_scores(self) -> bool:
        """True where the factor depends on the scores of the global model."""
        return self.kind == "plateau"

    def take(self, rounds: int, score: float) -> None:
        """Follow the score of the model that so many rounds made; higher is better.

        The untrained model's and those of the warm-up say nothing of the full rate.
        """
        if rounds > self._warmup:
            self._rule.step(score)

    def factor(self, done: int) -> float:
        """The share of the learning rate in the round that follows ``done`` rounds, above 0 and at most 1."""
        if done < self._warmup:
            return (done + 1) / (self._warmup + 1)
        if self.kind == "cosine":
            return (1 + math.cos(math.pi * (done - self._warmup) / (self._rounds - self._warmup))) / 2
        return float(self._rate.param_groups[0]["lr"]) if self.kind == "plateau" else 1.0
