"""The probabilities from which on a run says that an image shows a finding, as the run's folder keeps them."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from fedmed.analysis.evaluation.trained_model import TrainedModel, model_file
from fedmed.core.errors import InputError
from fedmed.runs.run_folder import RunFolder

THRESHOLDS = "thresholds"
"""The file in a run's folder, without its ending."""


class DecisionThresholds(NamedTuple):
    """The threshold of each of a task's findings (K,), None where the run chose none.

    Attributes:
        file: that states them; None where there are none at all.
        lacking: the sentence that says why there are none; empty where there are.
    """

    values: tuple[float | None, ...]
    file: Path | None
    lacking: str

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
    targets, folder = model.task.TARGETS, model.weights.parent
    file = folder / f"{THRESHOLDS}.json"
    lacking = ""
    if not file.is_file():
        lacking = f"{model.label} has no {file.name}: result_stat/evaluate.py chooses thresholds on validation cases"
    elif model.weights.resolve() != _result_of(RunFolder(folder)).resolve():
        lacking = f"{file.name} was chosen for {_result_of(RunFolder(folder)).name}, not for {model.weights.name}"
    if lacking:
        return DecisionThresholds((None,) * len(targets), None, f"No finding is decided on, as {lacking}.")
    return DecisionThresholds(_read(file, targets), file, "")


def _result_of(run: RunFolder) -> Path:
    """The weights that are the run's result."""
    return model_file(run, run.usual_model())


def _read(file: Path, targets: Sequence[str]) -> tuple[float | None, ...]:
    """The threshold of each target."""
    stated: dict[str, Any] = RunFolder(file.parent).read_json(THRESHOLDS)
    if set(stated) != set(targets):
        raise InputError(
            f"{file} states {len(stated)} findings; expected the model's {len(targets)}, {', '.join(targets)}: take "
            "the file from a copy, or remove it."
        )
    return tuple(_threshold(file, name, stated[name]["threshold"]) for name in targets)


def _threshold(file: Path, name: str, value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or (number and isfinite(value) and 0 <= value <= 1):
        return None if value is None else float(value)
    raise InputError(
        f"{file} states the threshold {value!r} of {name}; expected a number from 0 to 1, or null: take the file from "
        "a copy, or remove it."
    )
