"""The end of a run whose global model no longer gets better."""

import math

from fedmed.server.rate_schedule import LEAST_GAIN


class EarlyStopping:
    """Counts the scores since the best one. It follows from the scores alone, so that a resumed run goes on with it.

    Args:
        most: scores without a better one, after which the run ends; None never ends it.
    """

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._best, self._of, self._since = -math.inf, 0, 0

    def take(self, rounds: int, score: float) -> None:
        """Follow the score of the model that so many rounds made; higher is better.

        Once there is a reason to end, it stays: the score of the last model changes nothing.
        """
        if self.reason:
            return
        if score > self._best + LEAST_GAIN:
            self._best, self._of, self._since = score, rounds, 0
        else:
            self._since += 1

    @property
    def reason(self) -> str:
        """The reason in words to train no further round; empty where there is none."""
        if self.most is None or self._since < self.most:
            return ""
        return f"no score is above {self._best:.4f}, that after round {self._of}, since {self._since} scores"
