"""The probabilities from which on a model's predictions say that an image shows a finding."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fedmed.analysis.evaluation.run_thresholds import THRESHOLDS, is_result, read_thresholds
from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.runs.run_folder import RunFolder


class DecisionThresholds(NamedTuple):
    """The threshold of each of a task's findings (K,), None where there is none.

    Attributes:
        file: that states them; None where there are none at all.
        words: the sentence that says how they were chosen, or why there are none.
    """

    values: tuple[float | None, ...]
    file: Path | None
    words: str

    def present(self, probabilities: Sequence[float]) -> tuple[int, ...]:
        """The numbers of the findings that reach their thresholds, the one that exceeds its own most times first."""
        shares = {
            number: probability / threshold if threshold else float("inf")
            for number, (probability, threshold) in enumerate(zip(probabilities, self.values, strict=True))
            if threshold is not None and probability >= threshold
        }
        return tuple(sorted(shares, key=lambda number: -shares[number]))


def thresholds_of(model: TrainedModel) -> DecisionThresholds:
    """The thresholds that were chosen for a model, by the file in its run's folder.

    They are those of the run's result, so they decide nothing for its other models or for a site's own.

    Raises:
        InputError: the file is damaged, or of other findings than the model's.
    """
    targets, run = model.task.TARGETS, RunFolder(model.weights.parent)
    file = run.path / f"{THRESHOLDS}.json"
    lacking = ""
    if not file.is_file():
        lacking = f"{model.label} has no {file.name}: evaluate.py chooses thresholds on a run's validation cases"
    elif not is_result(run, model.weights):
        lacking = f"{file.name} was chosen for the run's result, which {model.weights.name} is not"
    if lacking:
        return DecisionThresholds((None,) * len(targets), None, f"No finding is decided on, as {lacking}.")
    found = read_thresholds(run, targets)
    chosen_on = run.read_json(THRESHOLDS)[targets[0]]["chosen_on"]
    words = f"A finding is told where its probability reaches its threshold, which gave most F1 on {chosen_on}."
    return DecisionThresholds(tuple(found[target] for target in targets), file, words)
