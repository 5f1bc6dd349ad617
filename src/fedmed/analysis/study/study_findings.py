"""All that a study has found: the figures and tests of each condition, and the ranks over all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedmed.analysis.comparison.paired_comparison import RunDifference
from fedmed.analysis.study.algorithm_figures import (
    AlgorithmFigures,
    Condition,
    block_scores,
    conditions,
    differences,
    figures,
)
from fedmed.analysis.study.cell_queue import CellOutcomes
from fedmed.analysis.study.cell_scores import CellScores, scored
from fedmed.analysis.study.rank_statistics import RankTest, rank_test
from fedmed.analysis.study.study_cells import Cell
from fedmed.analysis.study.study_file import Study
from fedmed.analysis.study.tuned_options import TunedOptions
from fedmed.core.errors import InputError, RunFailed
from fedmed.tasks.base import Metric, Task


@dataclass(frozen=True)
class StudyFindings:
    """The scores of the finished cells and what follows from them.

    Attributes:
        scores: of each finished cell.
        failures: a sentence on each run that failed or could not be scored, by its name.
        tuning: the choice for each algorithm; empty where nothing was tuned.
        figures: of each algorithm by condition.
        tests: of each pair of algorithms by condition.
        ranks: over the blocks of condition and seed; None where no two algorithms share one.
        blocks_left_out: the number of those that lack the score of an algorithm.
    """

    study: Study
    scores: Sequence[CellScores]
    failures: Mapping[str, str]
    tuning: Mapping[str, TunedOptions]
    figures: Mapping[Condition, Sequence[AlgorithmFigures]]
    tests: Mapping[Condition, Sequence[RunDifference]]
    ranks: RankTest | None
    blocks_left_out: int

    @property
    def task(self) -> Task:
        return self.scores[0].cell.experiment.task

    @property
    def metric(self) -> Metric:
        """The metric that algorithms are compared by: the task's first one."""
        return self.scores[0].metric


def scored_cells(cells: Sequence[Cell], outcomes: CellOutcomes) -> list[CellScores]:
    """The scores of the finished cells; one that cannot be scored becomes a failure.

    Raises:
        RunFailed: there is none.
    """
    found = []
    for cell in cells:
        run = outcomes.runs.get(cell.name)
        if run is None:
            continue
        try:
            found += scored(cell, run)
        except InputError as error:
            outcomes.failures[cell.name] = str(error)
    if not found:
        raise RunFailed(
            f"No run of the study could be scored; the first reason: {next(iter(outcomes.failures.values()))}"
        )
    return found


def findings(
    study: Study, scores: Sequence[CellScores], failures: Mapping[str, str], tuning: Mapping[str, TunedOptions]
) -> StudyFindings:
    """The findings, of one scored cell or more."""
    by_condition = conditions(scores)
    blocks = block_scores(scores)
    planned = len(by_condition) * len({each.cell.seed for each in scores})
    return StudyFindings(
        study=study,
        scores=scores,
        failures=failures,
        tuning=tuning,
        figures={condition: figures(cells) for condition, cells in by_condition.items()},
        tests={condition: differences(cells) for condition, cells in by_condition.items()},
        ranks=rank_test(blocks, scores[0].metric.better or "higher")
        if min(blocks.shape) and blocks.shape[1] > 1
        else None,
        blocks_left_out=planned - len(blocks),
    )
