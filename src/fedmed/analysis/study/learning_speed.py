"""The course of a run's validation scores, and the rounds that it takes to come near the best of several runs."""

from collections.abc import Mapping

from fedmed.runs.history import scores_of
from fedmed.runs.run_folder import RunFolder

NEAR = 0.95
"""The share of the best final score that counts as near it."""


def validation_curve(run: RunFolder) -> dict[int, float]:
    """The task's key score on the validation cases, by round.

    It is that of the global model, or, where each site scores a model of its own, the mean over the sites.
    """
    key = run.experiment().task.key_score
    found = {int(record["round"]): scores_of(record, key.figures).get(key.name) for record in run.records()}
    return {number: score for number, score in found.items() if score is not None}


def best_score(curve: Mapping[int, float]) -> float | None:
    """The highest score of a trained model; None where none was scored."""
    return max((score for number, score in curve.items() if number > 0), default=None)


def final_score(curve: Mapping[int, float]) -> float | None:
    """The score after the last round that was scored; None where no trained model was."""
    last = max(curve, default=0)
    return curve[last] if last > 0 else None


def rounds_to(curve: Mapping[int, float], target: float) -> int | None:
    """The first round after which a score is at least ``target``; None where none is. A pure function."""
    return min((number for number, score in curve.items() if number > 0 and score >= target), default=None)
