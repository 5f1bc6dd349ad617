"""The options that tuning has chosen for each algorithm, by the validation scores of as many tries."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fedmed.analysis.study.cell_queue import CellOutcomes
from fedmed.analysis.study.learning_speed import best_score, validation_curve
from fedmed.analysis.study.study_cells import Cell
from fedmed.analysis.study.study_file import Options, Study
from fedmed.core.errors import RunFailed


class TunedOptions(NamedTuple):
    """The choice for an algorithm.

    ``scores`` are the best validation scores of any round, one a try; None of a try that failed or has none.
    """

    chosen: Options
    number: int  # of the chosen try, from 1
    scores: Sequence[float | None]


def tuned(study: Study, tries: Mapping[str, Sequence[Cell]], outcomes: CellOutcomes) -> dict[str, TunedOptions]:
    """The choice for each algorithm: the try whose best round scores highest, of equals the first.

    Raises:
        RunFailed: no try of an algorithm has a score.
    """
    return {label: _chosen(study, label, cells, outcomes) for label, cells in tries.items()}


def _chosen(study: Study, label: str, cells: Sequence[Cell], outcomes: CellOutcomes) -> TunedOptions:
    runs = [outcomes.runs.get(cell.name) for cell in cells]
    scores = [best_score(validation_curve(run)) if run else None for run in runs]
    known = [(score, -number) for number, score in enumerate(scores) if score is not None]
    if not known or study.tuning is None:
        why = next(
            (outcomes.failures[cell.name] for cell in cells if cell.name in outcomes.failures), "none was scored"
        )
        raise RunFailed(f"No try of {label} has a validation score, so nothing can be chosen for it: {why}")
    number = -max(known)[1]
    return TunedOptions(study.tuning.tries[label][number], number + 1, scores)
