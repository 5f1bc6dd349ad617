"""A site's own models, kept at the site: the one after its last training, and its best by the site's own score."""

import math
from pathlib import Path

from fedmed.core.files import private_folder
from fedmed.core.names import BEST_OWN, LAST_OWN
from fedmed.core.weights import Weights, save_weights


class OwnModels:
    """Writes them to a folder of the site's, in the form of the run folder's models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.best = -math.inf

    def keep(self, weights: Weights) -> None:
        """Keep the model that a round of training made."""
        self._save(weights, LAST_OWN)

    def keep_if_best(self, weights: Weights, score: float | None) -> None:
        """Keep a trained model that scored higher than all before it; None is no score."""
        if score is not None and score > self.best:
            self.best = score
            self._save(weights, BEST_OWN)

    def _save(self, weights: Weights, name: str) -> None:
        private_folder(self.folder)
        save_weights(weights, self.folder / name)
