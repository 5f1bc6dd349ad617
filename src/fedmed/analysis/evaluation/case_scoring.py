"""Scoring a model on cases after a run, one case at a time, so that memory holds one and a stop loses one.

Of a task that scores several at once it is so many at a time.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

from fedmed.analysis.evaluation.evaluation_folder import Key, ScoringJournal
from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.core.errors import InputError
from fedmed.data.datalist import Case
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Data, Experiment
from fedmed.tasks.base import Batches, Flips, Row, Task

AT_ONCE = 64
"""Cases that are in memory together, of a task that scores several at once."""

OnCase = Callable[[Key], object]
"""Called with the key of each case that is done."""


class ScoringUnit(NamedTuple):
    """One case to be scored by one model."""

    site: str  # that lists the case, or that trained the model
    case: Case
    weights: Path

    @property
    def key(self) -> Key:
        return self.site, self.case.name


def score(model: TrainedModel, cases: Sequence[Case], label_scheme: str | None, caching: Caching) -> list[Row]:
    """Every case's metrics as during the run, in the precision in which the run was trained."""
    with model.inference():
        return model.task.evaluate(model.network, model.task.eval_set(cases, label_scheme, caching), model.device)


def caching_after(experiment: Experiment | None, label: str) -> Caching:
    """The cache of prepared cases: in CACHE_ROOT, or in the folder that the run used if it is still there."""
    folder = Data.of_this_site().cache_dir or (experiment.data.cache_dir if experiment else None)
    if folder is None or experiment is None or not folder.is_dir():
        return Caching()
    try:
        return Caching(disk=experiment.with_data(Data(cache_dir=folder)).caching().disk)
    except InputError as error:  # an evaluation goes as well without
        print(f"{label} is scored without the cache: {error}", file=sys.stderr)
        return Caching()


def measure(
    units: Sequence[ScoringUnit],
    models: Mapping[Path, TrainedModel],
    label_scheme: str | None,
    caching: Caching,
    journal: ScoringJournal,
    flips: bool = False,
    on_case: OnCase = lambda key: None,
) -> None:
    """Measure every unit that is not in ``journal`` yet, and record it there case by case.

    Args:
        flips: average the predictions over mirrored copies of each image.
        on_case: called for each unit, also for one that was measured before.

    Raises:
        InputError: a prediction holds NaN.
    """
    done = [unit.key for unit in units if unit.key in journal.rows]
    for key in done:
        on_case(key)
    left = [unit for unit in units if unit.key not in journal.rows]
    for weights, group in groupby(left, key=lambda unit: unit.weights):
        for part in _parts(group, models[weights].task, flips):
            for unit, rows in zip(part, _rows_of(part, models[weights], label_scheme, caching, flips), strict=True):
                journal.add(unit.key, rows)
                on_case(unit.key)


def _parts(units: Iterator[ScoringUnit], task: Task, flips: bool) -> Iterator[list[ScoringUnit]]:
    """The units that are scored together."""
    at_once = AT_ONCE if isinstance(task, Batches) and not flips else 1
    while part := list(islice(units, at_once)):
        yield part


def _rows_of(
    units: Sequence[ScoringUnit], model: TrainedModel, label_scheme: str | None, caching: Caching, flips: bool
) -> list[list[Row]]:
    """The rows of each unit, all of one model."""
    with model.inference():
        cases = model.task.eval_set([unit.case for unit in units], label_scheme, caching)
        items = [cases[place] for place in range(len(units))]
        if isinstance(model.task, Batches) and not flips:
            return model.task.measure_many(model.network, items, model.device)
        return [measured(model, item, flips) for item in items]


def check_flips(task: Task) -> None:
    """Refuse mirrored copies of a task that does not average over them.

    Raises:
        InputError: it does not.
    """
    if not isinstance(task, Flips):
        raise InputError(f"--flips averages over mirrored copies, which --task {task.name} does not; leave it out.")


def measured(model: TrainedModel, item: Mapping[str, Any], flips: bool) -> list[Row]:
    """The rows of one item of the task's ``eval_set``; with ``flips`` the task must pass :func:`check_flips`.

    Raises:
        InputError: the prediction holds NaN.
    """
    if not flips:
        return model.task.measure(model.network, item, model.device)
    assert isinstance(model.task, Flips)
    return model.task.measure_flipped(model.network, item, model.device)
