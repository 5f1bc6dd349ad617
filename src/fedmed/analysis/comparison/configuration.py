"""Configurations of runs in words: their choices, and the options in which they differ. Pure functions."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from fedmed.core.options import to_plain
from fedmed.core.plugin import Plugin
from fedmed.experiment import Experiment

SHOWN_ELSEWHERE = ("n_clients", "num_rounds", "cross_site")
"""Options of the training that a comparison shows elsewhere, or that leave the models as they are."""


def configurations(experiments: Sequence[Experiment]) -> list[str]:
    """Each run's algorithm, sites and privacy, such as ``fedavg, 4 sites, svt (dp_epsilon 21)``, and what else differs.

    An option of an algorithm or mechanism is stated where one of the runs with it departs from its default. Training on
    one site is ``central``. Speed and paths are not stated.
    """
    others = [
        {name: value for name, value in training_options(each).items() if name not in SHOWN_ELSEWHERE}
        for each in experiments
    ]
    differing = varying(others)
    algorithms = _plugins_in_words([each.algorithm for each in experiments])
    mechanisms = _plugins_in_words([each.privacy for each in experiments])
    texts = []
    for experiment, other, algorithm, mechanism in zip(experiments, others, algorithms, mechanisms, strict=True):
        parts = [*_where(experiment, algorithm), *([mechanism] if mechanism != "none" else [])]
        parts += [f"{name} {shown(other[name])}" for name in differing if other.get(name) is not None]
        texts.append(", ".join(parts))
    return texts


def training_options(experiment: Experiment) -> dict[str, Any]:
    """The options of the task, of the training and of an attack on it, which decide the numbers."""
    return {**to_plain(experiment.task), **to_plain(experiment.training), **to_plain(experiment.attack)}


def varying(options: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names whose values are not the same everywhere."""
    names = dict.fromkeys(name for each in options for name in each)
    return [name for name in names if len({json.dumps(each.get(name)) for each in options}) > 1]


def own_options(plugin: Plugin) -> dict[str, Any]:
    """The options of a choice that are not its defaults."""
    defaults = {field.name: field.default for field in dataclasses.fields(plugin)}  # type: ignore[arg-type]
    return {name: value for name, value in to_plain(plugin).items() if value != defaults[name]}


def shown(value: Any) -> str:
    """An option's value as people write it: ``64x64x64``, ``0.001``."""
    if isinstance(value, list):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _where(experiment: Experiment, algorithm: str) -> list[str]:
    sites = experiment.training.n_clients
    if sites > 1:
        return [algorithm, f"{sites} sites"]
    return ["central"] if algorithm == "fedavg" else ["central", algorithm]


def _plugins_in_words(plugins: Sequence[Plugin]) -> list[str]:
    """Each choice's name with its options, where one of that name has others than the defaults."""
    texts = []
    for plugin in plugins:
        names = dict.fromkeys(name for other in plugins if other.name == plugin.name for name in own_options(other))
        values = to_plain(plugin)
        options = ", ".join(f"{name} {shown(values[name])}" for name in names if values[name] is not None)
        texts.append(f"{plugin.name} ({options})" if options else plugin.name)
    return texts
