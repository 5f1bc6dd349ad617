"""The runs and tags of a picture of curves: read, chosen, and as a picture or a table."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from fedmed.analysis.curves.run_curves import over_sites, read_run, scored_shares
from fedmed.analysis.curves.run_groups import Group, group_runs
from fedmed.analysis.curves.runs_picture import CurveStyle, draw
from fedmed.analysis.curves.tensorboard_events import SCALAR_COLUMNS, cut_short, site_folders, smooth
from fedmed.analysis.evaluation.trained_model import DEFAULT_TASK
from fedmed.core import registry
from fedmed.core.cli import warn
from fedmed.core.errors import InputError
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import Task


def runs_with_events(artifacts: Path) -> list[Path]:
    """Every run that has events, by name.

    Raises:
        InputError: there is none.
    """
    runs = sorted(path.parent for path in artifacts.glob("*/tb_events") if site_folders(path.parent))
    if not runs:
        raise InputError(f"{artifacts} holds no run with tb_events; make one with python job.py, or name run folders.")
    return runs


def labelled(paths: Sequence[Path]) -> dict[str, Path]:
    """Each folder, once, by its label.

    Raises:
        InputError: a folder holds no events.
    """
    for path in paths:
        if not site_folders(path):
            raise InputError(
                f"{path} holds no TensorBoard events of a site; expected a run folder such as artifacts/run-001, or "
                "one of FLARE's workspaces, with <site>/events... in it."
            )
    once = list(dict.fromkeys(path.resolve() for path in paths))
    return dict(zip(RunFolder.labels(once), once, strict=True))


def key_metric(paths: Sequence[Path]) -> str:
    """The metric that chose the best model of the first folder that is a run's; else that of the default task."""
    for path in paths:
        if (path / "experiment.json").is_file():
            return RunFolder(path).experiment().task.KEY_METRIC
    task: type[Task] = registry.find("task", DEFAULT_TASK)
    return task.KEY_METRIC


def read_runs(runs: Mapping[str, Path]) -> pd.DataFrame:
    """Every scalar of every run, with a warning for each file that cannot be read to its end."""
    for path in runs.values():
        for sentence in cut_short(path):
            warn(sentence)
    return pd.concat([read_run(path, label) for label, path in runs.items()], ignore_index=True)


def chosen(table: pd.DataFrame, wanted: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """The points of the wanted tags, and these tags, with a warning for each run that lacks one.

    Args:
        wanted: names of tags; ``all`` stands for every one.

    Raises:
        InputError: no run has the tag.
    """
    known, runs = sorted(table["tag"].unique()), list(table["run"].unique())
    tags = list(dict.fromkeys(known if "all" in wanted else wanted))
    for tag in tags:
        if tag not in known:
            has = ", ".join(known) or "nothing that can be read"
            raise InputError(f"--tag is {tag}, which no run has; choose of what they have: {has}.")
        with_it = set(table[table["tag"] == tag]["run"])
        for run in runs:
            if run not in with_it:
                warn(f"{run} has no {tag}, so it is missing there.")
    return table[table["tag"].isin(tags)], tags


def long_table(table: pd.DataFrame, weight: float) -> bytes:
    """Every point as CSV: run, site, tag, step, value and smoothed, each site's curve smoothed by itself."""
    values = table.groupby(["run", "site", "tag"], sort=False)["value"]
    smoothed = values.transform(lambda curve: smooth(curve, weight))
    return table[SCALAR_COLUMNS].assign(smoothed=smoothed).to_csv(index=False).encode()


def picture(table: pd.DataFrame, tags: Sequence[str], runs: Mapping[str, Path], style: CurveStyle, form: str) -> bytes:
    """The figure as ``png`` or ``svg``."""
    drawn = {label: path for label, path in runs.items() if label in set(table["run"])}
    groups = group_runs(drawn)
    _warn_of_uneven(table, groups)
    shares = [label for label, path in drawn.items() if style.by_site and scored_shares(path)]
    note = f"The sites of {', '.join(shares)} scored different cases: each its share of the list." if shares else ""
    file = io.BytesIO()
    draw(table, tags, groups, style, note).savefig(file, format=form, dpi=130)
    return file.getvalue()


def _warn_of_uneven(table: pd.DataFrame, groups: Sequence[Group]) -> None:
    """Warn of the runs of one line that end early, because the line ends with the shortest."""
    for group in groups:
        for tag, points in table[table["run"].isin(group.runs)].groupby("tag"):
            ends = {str(run): over_sites(rows).index.max() for run, rows in points.groupby("run")}
            if len(set(ends.values())) > 1:
                shown = ", ".join(f"{run} at {end:g}" for run, end in ends.items())
                warn(f"{tag} of {group.label} ends at different steps ({shown}); the line ends with the shortest run.")
