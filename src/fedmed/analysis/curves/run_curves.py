"""The curves of several runs from their events: read, averaged over sites, and seeds of one experiment as a band."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fedmed.analysis.curves.tensorboard_events import read_scalars, smooth
from fedmed.core.names import HISTORY
from fedmed.core.site_scores import CASES, LEARNING_RATE, OF_EPOCH, TRAINED, weight_of
from fedmed.runs.run_folder import RunFolder

AT_STEPS = (*TRAINED, OF_EPOCH)
"""Beginnings of the names of scalars that stand at a site's optimiser steps, of which it makes as many as its cases."""

AT_ROUNDS = ("val_", "privacy_", LEARNING_RATE)
"""Beginnings of the names of scalars that stand at federated rounds."""


def read_run(run: Path, label: str) -> pd.DataFrame:
    """Every scalar of a run with the columns run, site, tag, step, value and weight.

    ``weight`` is the weight of a site's figure in a mean over sites: its number of values by the run's history where
    there is one, else 1; where steps are no rounds 1.

    Raises:
        InputError: the run's history cannot be read.
    """
    reports = {(row["round"], row["site"]): row for row in _history(run)}
    table = read_scalars(run).assign(run=label)
    places = zip(table["step"], table["site"], table["tag"], strict=True)
    weights = [
        1 if tag.startswith(AT_STEPS) else weight_of(reports.get((step, site), {}), tag) for step, site, tag in places
    ]
    return table.assign(weight=weights)


def scored_shares(run: Path) -> bool:
    """True where some site of a run scored only a part of the validation cases that it lists.

    Raises:
        InputError: a file of the run cannot be read.
    """
    if not (run / "dataset_splits.json").is_file():
        return False
    listed = {site: len(split["validation"]) for site, split in RunFolder(run).read_json("dataset_splits").items()}
    return any(0 < row.get(CASES, 0) < listed.get(row["site"], 0) for row in _history(run))


def over_sites(points: pd.DataFrame) -> pd.Series:
    """One run's curve of one tag: the weighted mean over its sites, by step.

    A site's optimiser steps are its own, so what sites noted there is averaged in its order, each at the mean of the
    steps where it stands, as far as every site has one. A value that is not a number makes a mean that is none.
    """
    steps = points["tag"].str.startswith(AT_STEPS).all()
    by = points.groupby("site").cumcount() if steps else points["step"]
    groups = points.assign(product=points["value"] * points["weight"]).groupby(by)
    mean = groups["product"].sum(skipna=False) / groups["weight"].sum()
    if not steps:
        return mean
    mean = mean.set_axis(groups["step"].mean())
    return mean[(groups.size() == points["site"].nunique()).to_numpy()]


def band(curves: Sequence[pd.Series], weight: float) -> pd.DataFrame:
    """The columns mean, low and high of several smoothed curves, at the steps that all of them have."""
    smoothed = pd.concat([smooth(curve, weight) for curve in curves], axis=1, join="inner")
    extremes = {"low": smoothed.min(axis=1, skipna=False), "high": smoothed.max(axis=1, skipna=False)}
    return pd.DataFrame({"mean": smoothed.mean(axis=1, skipna=False), **extremes})


def steps_in_words(tag: str) -> str:
    """The unit of a tag's steps, for the label of an axis."""
    if tag.startswith(AT_STEPS):
        return "optimiser steps of a site"
    return "federated rounds" if tag.startswith(AT_ROUNDS) else "steps"


def _history(run: Path) -> Sequence[Mapping[str, Any]]:
    return RunFolder(run).read_json(HISTORY) if (run / f"{HISTORY}.json").is_file() else []
