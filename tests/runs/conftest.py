"""An environment of the tests, in which a run's records come from the test."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from fedmed.core.plugin import ExperimentView
from fedmed.environments.base import Environment, RoundWatcher
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder

Part = dict[str, Any] | BaseException


@dataclass(frozen=True)
class Scripted(Environment):
    """Hands on these records and raises this error, in this order."""

    parts: tuple[Part, ...] = ()

    def statement(self, experiment: ExperimentView) -> str:
        return "a script"

    def run(self, experiment: Experiment, folder: RunFolder, watcher: RoundWatcher) -> None:
        (folder.path / "training.log").write_text("the log of this part\n")
        for part in self.parts:
            if isinstance(part, BaseException):
                raise part
            watcher.record(part)


@pytest.fixture
def scripted(small_experiment: Callable[..., Experiment]) -> Callable[..., Experiment]:
    """Makes an experiment that runs as the given records and errors say; takes further command-line arguments."""

    def make(parts: list[Part], *arguments: str) -> Experiment:
        return replace(small_experiment(*arguments), environment=Scripted(tuple(parts)))

    return make
