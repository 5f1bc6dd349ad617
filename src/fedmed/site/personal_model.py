"""A site's personal model beside the global one: its weights, and an optimiser's state of its own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fedmed.algorithms.base import Algorithm
from fedmed.core.weights import Weights
from fedmed.site.own_models import OwnModels
from fedmed.site.workbench import Workbench


class PersonalModel:
    """The model between its trainings, for which it borrows the site's network and optimiser.

    Args:
        files: get the last and the best one.

    Attributes:
        weights: after its last training; None before the first.
    """

    def __init__(self, files: OwnModels) -> None:
        self._files = files
        self.weights: Weights | None = None
        self._optimizer: dict[str, Any] | None = None

    @contextmanager
    def optimizing(self, bench: Workbench) -> Iterator[None]:
        """Let the bench's optimiser have this model's state, a new one before the first training, and then its own."""
        others = bench.optimizer.state_dict()
        if self._optimizer is None:
            bench.clear_optimizer()
        else:
            bench.optimizer.load_state_dict(self._optimizer)
        yield
        self._optimizer = bench.optimizer.state_dict()
        bench.optimizer.load_state_dict(others)

    def take(self, trained: Weights) -> None:
        """Take over the weights that a training led to."""
        self.weights = trained
        self.keep()

    def keep(self) -> None:
        """Write the model, where there is one, as the site's last."""
        if self.weights is not None:
            self._files.keep(self.weights)

    def keep_if_best(self, score: float | None) -> None:
        """Write the model, where there is one, as the site's best if it scored higher than all before it."""
        if self.weights is not None:
            self._files.keep_if_best(self.weights, score)

    def state(self) -> dict[str, Any]:
        """The part of the site's state that the next training needs."""
        return {"weights": self.weights, "optimizer": self._optimizer}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` returned; from nothing, begin anew."""
        self.weights, self._optimizer = state.get("weights"), state.get("optimizer")


def keepers(algorithm: Algorithm, folder: Path) -> tuple[OwnModels | None, PersonalModel | None]:
    """The writer of a site's own models to its folder, and its personal model; None for what the algorithm has not."""
    files = OwnModels(folder) if algorithm.has_own_models else None
    return files, PersonalModel(files) if files is not None and algorithm.has_personal else None
