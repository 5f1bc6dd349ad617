"""Several runs against each other: the readers and tests of compare.py, without names of cases."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import pandas as pd

from fedmed.analysis.comparison.compared_run import metric_of, read_runs
from fedmed.analysis.comparison.comparison_report import blocks, compared
from fedmed.analysis.comparison.configuration import shown, training_options, varying
from fedmed.analysis.comparison.table_document import Block
from fedmed.analysis.dashboard.artifacts_listing import Stamp, stamp_of
from fedmed.analysis.dashboard.case_aliases import CaseAliases
from fedmed.analysis.dashboard.run_view import RunView
from fedmed.analysis.evaluation.evaluation_folder import EVALUATION
from fedmed.core.errors import InputError
from fedmed.core.options import to_plain
from fedmed.core.site_scores import is_figure
from fedmed.runs.training_curves import LOSS, weighted_mean

SPLITS = ("validation", "test")


def figures_of(views: Sequence[RunView]) -> dict[str, str]:
    """The figures of rounds that one of the runs has, and their titles: the key scores first, then the loss."""
    titles = {view.experiment.task.key_score.name: view.experiment.task.key_score.title for view in views}
    titles[LOSS] = "training loss"
    known = dict.fromkeys(name for view in views for name in _reported(view.history))
    first = [name for name in titles if name in known]
    return {name: titles.get(name, name) for name in (*first, *known)}


def _reported(history: pd.DataFrame) -> list[str]:
    """The figures of which a history holds at least one value."""
    names = [str(name) for name in history.columns if is_figure(str(name)) or name == LOSS]
    return [name for name in names if history[name].notna().any()]


def curves_of(views: Sequence[RunView], column: str) -> dict[str, pd.Series]:
    """A figure over the sites by round, of each run that has it, by the run's name."""
    return {
        view.run.name: weighted_mean(view.history, column, view.experiment.task.key_score.figures)
        for view in views
        if column in view.history
    }


def choices_table(views: Sequence[RunView]) -> pd.DataFrame:
    """The options that are not the same everywhere, a row an option and a column a run."""
    every = []
    for view in views:
        experiment = view.experiment
        options = {**training_options(experiment), "task": experiment.task.name}
        for kind, choice in (("algorithm", experiment.algorithm), ("privacy", experiment.privacy)):
            own = {f"{kind} {name}": value for name, value in to_plain(choice).items()}
            options |= {kind: choice.name, **own}
        every.append(options)
    names = varying(every)
    cells = {
        view.run.name: [_cell(options, name) for name in names] for view, options in zip(views, every, strict=True)
    }
    return pd.DataFrame({"option": names, **cells})


def _cell(options: Mapping[str, object], name: str) -> str:
    value = options.get(name)
    return "-" if value is None else shown(value)


def splits_of(views: Sequence[RunView]) -> list[str]:
    """The splits on which each of the runs has an evaluation of its usual model."""
    return [split for split in SPLITS if all(_usual(view, split) in view.evaluations for view in views)]


def _usual(view: RunView, split: str) -> str:
    return f"{view.run.usual_model()}-{split}"


def compare_blocks(views: Sequence[RunView], split: str) -> tuple[Sequence[Block], CaseAliases]:
    """The comparison's report, or the reason against one as its only block; and the names that it may not show."""
    paths = tuple(view.run.path for view in views)
    stamps = tuple(stamp_of(view.run.path / EVALUATION, f"{_usual(view, split)}/*.*") for view in views)
    secrets = frozenset[str]().union(*(view.aliases.secrets for view in views))
    try:
        scored = (view.evaluation(_usual(view, split))[1].secrets for view in views)
        return _blocks(paths, split, stamps), CaseAliases({}, secrets.union(*scored))
    except InputError as error:
        return [Block("These runs cannot be compared", items=[str(error)])], CaseAliases({}, secrets)


@lru_cache(maxsize=16)
def _blocks(paths: tuple[Path, ...], split: str, _stamps: tuple[Stamp, ...]) -> Sequence[Block]:
    runs = read_runs(paths, None, split)
    return blocks(compared(runs, metric_of(runs, runs[0].experiment.task.METRICS[0].name)))
