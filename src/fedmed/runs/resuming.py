"""An unfinished run, taken up again: as it began, but for where it runs and what it does about faults."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedmed.core import registry
from fedmed.core.errors import InputError
from fedmed.core.options import option_names, to_plain
from fedmed.core.settings import Data, Faults, Performance
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder

MAY_CHANGE = {"performance": Performance, "data": Data, "faults": Faults}
"""The parts of an experiment that do not decide what is trained."""

BEGAN_WITH = "began_with"
"""In environment.json: the parts of the experiment that decide what is trained."""


def resumed(path: Path, given: Mapping[str, Any]) -> Experiment:
    """The experiment of an unfinished run, with the options in ``given`` in place of its own.

    Raises:
        InputError: there is no such run, it is finished, or an option decides what is trained.
    """
    folder = RunFolder.open(path)
    refuse_finished(folder)
    began = folder.experiment()
    _refuse_edited(folder, began)
    left = dict(given)
    environment = _environment(began, left)
    parts = {}
    for name, cls in MAY_CHANGE.items():
        if cls is Data and not environment.DATA_IS_LOCAL:
            continue  # every site has its own
        own = {option: left.pop(option) for option in option_names(cls) & set(left)}
        parts[name] = dataclasses.replace(getattr(began, name), **own)
    if left:
        raise InputError(
            f"--{min(left)} decides what is trained or where, and --resume goes on as the run began; drop it."
        )
    return dataclasses.replace(began, environment=environment, artifacts=path.absolute().parent, **parts)


def deciding(experiment: Experiment) -> dict[str, dict[str, Any]]:
    """The parts of an experiment that decide what is trained, as JSON values."""
    choices = {
        kind: {"name": choice.name, **to_plain(choice)}
        for kind, choice in experiment.choices().items()
        if kind != "env"
    }
    return {**choices, "training": to_plain(experiment.training), "attack": to_plain(experiment.attack)}


def _refuse_edited(folder: RunFolder, experiment: Experiment) -> None:
    """Refuse an experiment file that says otherwise than when the run began; one of an earlier version is not compared.

    Raises:
        InputError: it does.
    """
    if not (folder.path / "environment.json").is_file():
        return
    before, now = folder.read_json("environment").get(BEGAN_WITH, {}), deciding(experiment)
    for part, values in now.items():
        for name, value in values.items():
            then = before.get(part, {}).get(name, value)
            if then != value:
                raise InputError(
                    f"{folder.path / 'experiment.json'} says {name} {value} for {part}, and the run began with {then}; "
                    "restore it, or start a new run."
                )


def refuse_finished(folder: RunFolder) -> None:
    """Refuse a run that is complete.

    Raises:
        InputError: it is.
    """
    if folder.status == "finished":
        raise InputError(f"{folder.path} is finished, so there is nothing to resume; start a new run.")


def _environment(began: Experiment, left: dict[str, Any]) -> Any:
    """The run's environment, or another in which it can find what it kept; takes its options out of ``left``."""
    own = began.environment
    name = left.pop("env", own.name)
    cls = registry.find("env", name)
    if cls.DATA_IS_LOCAL != own.DATA_IS_LOCAL:  # type: ignore[attr-defined]
        raise InputError(
            f"The run began with --env {own.name}, where another server and other sites keep its state than with "
            f"--env {name}; go on with --env {own.name}."
        )
    values = {option: getattr(own, option) for option in option_names(cls)} if isinstance(own, cls) else {}
    values |= {option: left.pop(option) for option in option_names(cls) & set(left)}
    return cls(**values)
