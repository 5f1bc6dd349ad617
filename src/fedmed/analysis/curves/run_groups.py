"""Groups of runs that differ in their seed alone, each with a label."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmed.core.errors import counted
from fedmed.runs.run_folder import RunFolder

SEED_OPTION = "training.seed"

SPLITS_KEY = "cases"
"""Stands beside the settings: the cases of each site and split, which tell data apart whatever their path."""

ELSEWHERE = ("job_name", "data.", "env.workspace")
"""The run's name and the places of its files, which change no number."""

CHOICES = ["algorithm.name", "privacy.name"]
"""Settings that stand first in a label, and alone where there is a single experiment."""

MOST_WORDS = 4
"""The most differences that a legend has room for."""


@dataclass(frozen=True)
class Group:
    """Runs of one experiment, by their labels."""

    label: str
    runs: tuple[str, ...]


def group_runs(runs: Mapping[str, Path]) -> list[Group]:
    """Runs, by label, whose settings and cases are equal but for the seed, together; in the order of the first of each.

    A folder without ``experiment.json`` is a group of its own.

    Raises:
        InputError: a file of a run cannot be read.
    """
    settings = {label: settings_of(path) for label, path in runs.items()}
    members: dict[str, list[str]] = {}
    for label, found in settings.items():
        members.setdefault(_key(found) or label, []).append(label)
    groups = {labels[0]: [settings[label] for label in labels] for labels in members.values()}
    differing = _differing([group[0] for group in groups.values() if group[0]])
    return [Group(_label(labels, groups[labels[0]], differing), tuple(labels)) for labels in members.values()]


def _key(settings: Mapping[str, Any]) -> str:
    """The settings without the seed as text; empty where there are none."""
    return json.dumps({k: v for k, v in settings.items() if k != SEED_OPTION}, sort_keys=True) if settings else ""


def settings_of(run: Path) -> dict[str, Any]:
    """The settings that decide a run's numbers, by names such as ``training.seed``; empty for a foreign folder.

    Raises:
        InputError: a file of the run cannot be read.
    """
    folder = RunFolder(run)
    if not (run / "experiment.json").is_file():
        return {}
    found = {name: value for name, value in _flat(folder.read_json("experiment")) if not name.startswith(ELSEWHERE)}
    splits = folder.read_json("dataset_splits") if (run / "dataset_splits.json").is_file() else None
    return {**found, SPLITS_KEY: splits}


def _flat(document: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(document, dict):
        return [(prefix, document)]
    return [pair for name, value in document.items() for pair in _flat(value, f"{prefix}.{name}" if prefix else name)]


def _differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the settings that differ between experiments; of a single experiment its choices."""
    if len(settings) == 1:
        return CHOICES
    names = dict.fromkeys((*CHOICES, *(name for each in settings for name in each)))
    return [
        name
        for name in names
        if name not in (SEED_OPTION, SPLITS_KEY) and any(each.get(name) != settings[0].get(name) for each in settings)
    ]


def _label(labels: Sequence[str], settings: Sequence[Mapping[str, Any]], differing: Sequence[str]) -> str:
    if len(labels) == 1:
        return labels[0]
    words = [_in_words(name, settings[0].get(name)) for name in differing if name in settings[0]]
    usable = 0 < len(words) <= MOST_WORDS
    seeds = len({each.get(SEED_OPTION) for each in settings})
    count = counted(seeds, "seed") if seeds == len(labels) else f"{len(labels)} runs of {counted(seeds, 'seed')}"
    return f"{', '.join(words) if usable else f'{labels[0]} and {len(labels) - 1} more'} ({count})"


def _in_words(name: str, value: Any) -> str:
    if name == "privacy.name":
        return "no privacy" if value == "none" else str(value)
    if name == "algorithm.name":
        return str(value)
    shown = " ".join(map(str, value)) if isinstance(value, list) else value
    return f"{name.rpartition('.')[2]} {shown}"
