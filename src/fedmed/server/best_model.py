"""The choice of the best global model, by the mean of the key metric over the sites."""

import math
from collections.abc import Callable, Mapping

from fedmed.core.site_scores import SUM, FigureForm, Figures, mean_over_sites

ANY = FigureForm()


class BestModel:
    """The best model so far.

    Args:
        metric: the key metric, as sites report it; higher is better.
        figures: gives the figures that are made from sums; called only where sites report any, since it may import a
            task with all its libraries.
        form: the metric's; a mean out of its range chooses nothing.

    Attributes:
        score: its mean over the sites; minus infinity where none was chosen.
        rounds: how many rounds made the model; None where none was chosen.
    """

    def __init__(self, metric: str, figures: Callable[[], Figures] = dict, form: FigureForm = ANY) -> None:
        self.metric, self._figures, self._form = metric, figures, form
        self.score, self.rounds = -math.inf, None  # type: float, int | None

    def restore(self, score: float, rounds: int) -> None:
        """Go on from a checkpoint."""
        self.score, self.rounds = score, rounds

    def update(self, scores: Mapping[str, Mapping[str, float]], rounds: int) -> bool:
        """Compare the model that ``rounds`` rounds made; True where it is the best so far.

        The untrained model is no candidate. Of equal models the earlier one stays.

        Args:
            scores: figures by site, as :func:`fedmed.server.site_reports.evened` has left them, of the sites that
                have a vote.
        """
        mean = self.mean(scores)
        if rounds == 0 or mean is None or not mean > self.score:
            return False
        self.score, self.rounds = mean, rounds
        return True

    def mean(self, scores: Mapping[str, Mapping[str, float]]) -> float | None:
        """The mean of the metric over the sites; None where there is none within its range."""
        summed = any(name.startswith(self.metric + SUM) for report in scores.values() for name in report)
        mean = mean_over_sites(scores, self._figures() if summed else {}).get(self.metric)
        return mean if self._form.holds(mean) else None
