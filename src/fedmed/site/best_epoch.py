"""The epoch of a round whose weights scored best."""

from collections.abc import Callable

from fedmed.core.weights import Weights


class BestEpoch:
    """Holds the weights of the epoch with the highest score so far; of equals the earlier.

    Attributes:
        number: of the epoch, from 1; None where none had a score.
        weights: after it.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.weights: Weights = {}
        self._score: float | None = None

    def offer(self, number: int, score: float | None, weights: Callable[[], Weights]) -> None:
        """Take over an epoch's weights, which are asked for only where its score is the highest; None is no score."""
        if score is not None and (self._score is None or score > self._score):
            self.number, self._score, self.weights = number, score, weights()
