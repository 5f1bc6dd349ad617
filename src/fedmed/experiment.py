"""The one description of a run: Task x Algorithm x Privacy x Environment, and how long and how fast to train."""

from __future__ import annotations

import copy
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from fedmed.algorithms.base import Algorithm
from fedmed.core import registry
from fedmed.core.attack import Attack
from fedmed.core.errors import InputError
from fedmed.core.options import expect, from_plain, option, to_plain
from fedmed.core.plugin import ExperimentView
from fedmed.core.settings import Data, Faults, Performance, Training
from fedmed.data.prepared.cache import Cache, Caching
from fedmed.privacy.base import Mechanism
from fedmed.tasks.base import LabelFlips, Task

if TYPE_CHECKING:
    import torch

SECTIONS = {"training": Training, "performance": Performance, "data": Data, "faults": Faults, "attack": Attack}
"""The parts of an experiment that are no choice between plug-ins, by the name of the field."""

RETIRED = {"performance": {"sites_at_once"}}
"""Options of earlier versions that changed no numbers and are read over in old files."""

RUN_ID = "[0-9]{8}-[0-9]{6}-[0-9a-f]{8}"

E = TypeVar("E", bound="Experiment")


class EnvironmentView(Protocol):
    """The place where a job's server and sites run; the contract itself is ``environments.base``."""

    DATA_IS_LOCAL: bool
    verbose: bool

    @property
    def name(self) -> str: ...
    @property
    def code_travels(self) -> bool: ...
    def check(self, experiment: ExperimentView) -> None: ...
    def check_machine(self, experiment: ExperimentView) -> None: ...
    def processes_persist(self, experiment: ExperimentView) -> bool: ...
    def statement(self, experiment: ExperimentView) -> str: ...
    def run(self, experiment: Any, folder: Any, watch: Any) -> None: ...


def new_run_id() -> str:
    """A name that tells runs apart: the time, and a number that no other run of the same second has."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Experiment:
    """A run, whole. Equal experiments on equal data on one machine end with equal weights.

    It is validated once, when it is made; :meth:`with_data` and :meth:`named` change nothing that was checked.

    Raises:
        InputError: a value is out of range or the four choices cannot work together.
    """

    task: Task
    algorithm: Algorithm
    privacy: Mechanism
    environment: EnvironmentView
    training: Training = field(default_factory=Training)
    performance: Performance = field(default_factory=Performance)
    data: Data = field(default_factory=Data)
    faults: Faults = field(default_factory=Faults)
    attack: Attack = field(default_factory=Attack)
    run_id: str | None = None  # common to the jobs of one run, where its folder does not tell
    job_name: str = option("run", "name of the run's folder; a number is added, nothing is overwritten")
    artifacts: Path | None = option(None, "where run folders are made (default: artifacts beside job.py)")

    def __post_init__(self) -> None:
        expect(
            bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{,99}", self.job_name)),
            "job_name",
            self.job_name,
            "at most 100 letters, digits, dots, dashes and underscores, starting with a letter or digit",
        )
        if self.run_id is not None and not re.fullmatch(RUN_ID, str(self.run_id)):
            raise InputError(f"The run is called {self.run_id!r:.80}; expected a name that job.py gave it.")
        self.faults.check_sites(self.training.n_clients, self.training.sites_per_round)
        on_these = self.privacy.on(self.task.unit, self.algorithm.unsent)  # here, so that no file says otherwise
        object.__setattr__(self, "privacy", on_these)
        for choice in (self.task, self.algorithm, self.privacy, self.environment):
            choice.check(self)
        if self.training.schedule == "plateau" and self.privacy.withholds_metrics:
            raise InputError(
                f"--schedule plateau follows the scores, and --privacy {self.privacy.name} keeps them at the sites; "
                "give another --schedule, or --dp_release_metrics."
            )
        if self.training.early_stopping is not None and self.privacy.withholds_metrics:
            raise InputError(
                f"--early_stopping follows the scores, and --privacy {self.privacy.name} keeps them at the sites; drop "
                "it, or give --dp_release_metrics."
            )
        if self.training.cross_site:
            self._check_cross_site()
        if self.attack.is_on:
            self._check_attack()

    def _check_cross_site(self) -> None:
        if self.privacy.GUARANTEE != "none":
            raise InputError(
                f"--cross_site sends every site's own model whole, which --privacy {self.privacy.name} does not cover; "
                "drop one of them."
            )
        if self.training.n_clients == 1:
            raise InputError("--cross_site compares sites, and --n_clients is 1; drop it, or give more sites.")
        if self.faults.min_clients is not None and self.faults.round_timeout is None:
            raise InputError(
                "--cross_site waits for every site, also for one that --min_clients would spare; "
                "give --round_timeout, which limits each of its steps too, or drop one of them."
            )

    def _check_attack(self) -> None:
        self.attack.check_sites(self.training.sites)
        attack = f"--attack {self.attack.attack}"
        if self.privacy.GUARANTEE != "none":
            raise InputError(
                f"{attack} puts other updates in the place of those that --privacy {self.privacy.name} lets out, so "
                "that its ledger would speak of none of them; drop one of the two."
            )
        if self.algorithm.RESULT == "own" and not self.algorithm.has_private:
            raise InputError(
                f"{attack} harms what sites share, and --algorithm {self.algorithm.name} shares nothing; drop one."
            )
        if self.attack.attack == "label_flip" and not isinstance(self.task, LabelFlips):
            raise InputError(
                f"{attack} has no meaning for --task {self.task.name}, which does not say what a flipped label is; "
                "choose another --attack."
            )

    def to_json(self, *, travelling: bool = False) -> str:
        """The experiment as JSON, without ``artifacts``, the place of the run folder.

        A ``travelling`` copy, the one that sites get, leaves all paths of the launching machine at home.
        """
        document: dict[str, Any] = {
            kind: {"name": choice.name, **(_without_paths(choice) if travelling else to_plain(choice))}
            for kind, choice in self.choices().items()
        }
        document |= {name: to_plain(getattr(self, name)) for name in SECTIONS}
        document |= {"job_name": self.job_name, "run_id": self.run_id}
        if travelling:
            document["data"] = {}
            document["env"] = {"name": self.environment.name}
        return json.dumps(document, indent=2) + "\n"

    @classmethod
    def from_json(cls: type[E], text: str, file: str = "the experiment file") -> E:
        """The experiment of a file that :meth:`to_json` wrote, also by an earlier version.

        Args:
            file: its path, for sentences.

        Raises:
            InputError: the text is no JSON object, or a value is missing, unknown or out of range.
        """
        try:
            return cls._of_document(_document(text))
        except InputError as error:
            raise InputError(f"{file}: {error}") from error

    @classmethod
    def _of_document(cls: type[E], document: Mapping[str, Any]) -> E:
        choices = {kind: registry.rebuilt(kind, document[kind]) for kind in registry.KINDS}
        environment = choices.pop("env")
        sections: dict[str, Any] = {
            name: from_plain(section, _without_retired(name, document[name])) for name, section in SECTIONS.items()
        }
        job_name, run_id = document["job_name"], document["run_id"]
        return cls(**choices, environment=environment, **sections, job_name=job_name, run_id=run_id)

    @property
    def splits_validation(self) -> bool:
        """True where sites that list the same validation cases share the work of scoring them.

        They score one model then, and only metrics that combine from parts of the cases.
        """
        one_model = not self.algorithm.scores_own
        return self.performance.validation == "split" and one_model and self.task.validation_can_be_split

    @property
    def measures_statistics(self) -> bool:
        """True where sites measure the running statistics of the averaged model, if it has some.

        Only where weights are averaged, and where no privacy mechanism would have to cover a further answer.
        """
        averaged = self.training.n_clients > 1 and self.algorithm.has_global_model
        wanted = self.training.running_statistics == "measured"
        return wanted and averaged and self.privacy.GUARANTEE == "none"

    def choices(self) -> dict[str, Task | Algorithm | Mechanism | EnvironmentView]:
        """The four choices by the name of their option."""
        return {"task": self.task, "algorithm": self.algorithm, "privacy": self.privacy, "env": self.environment}

    def with_data(self: E, data: Data) -> E:
        """The same experiment on a site's own data."""
        return self._with("data", data)

    def named(self: E, run_id: str) -> E:
        """The same experiment with the name that the jobs of its run have in common."""
        return self._with("run_id", run_id)

    def _with(self: E, name: str, value: Any) -> E:
        changed = copy.copy(self)
        object.__setattr__(changed, name, value)
        return changed

    def caching(self, device: torch.device | None = None) -> Caching:
        """The places of this machine's prepared cases, on disk only where a folder is named; items are for ``device``.

        Raises:
            InputError: that folder cannot be used.
        """
        folder, limit = self.data.cache_dir, int(self.performance.cache_gb * 1e9)
        disk = Cache(folder, limit) if folder is not None and limit > 0 else None
        apart = self.performance.num_workers > 0  # processes that prepare cases have no GPU
        return Caching(self.performance.cache_dataset, disk, None if apart else device)


def _without_paths(choice: Any) -> dict[str, Any]:
    """A choice's options but for places on this machine, such as a file of weights."""
    return {name: value for name, value in to_plain(choice).items() if not isinstance(getattr(choice, name), Path)}


def _document(text: str) -> dict[str, Any]:
    """The parts of an experiment file, each of its kind; their values are checked where they are used.

    Raises:
        InputError: it is none.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"it is no JSON ({error}); take it from a copy.") from error
    if not isinstance(found, dict):
        raise InputError("it holds no JSON object; take it from a copy.")
    document = {"faults": {}, "attack": {}, "run_id": None, **found}  # runs of earlier versions have none
    for part in (*registry.KINDS, *SECTIONS):
        _expect_kind(part, document.get(part), dict, "an object")
    for kind in registry.KINDS:
        _expect_kind(f"the name of {kind}", document[kind].get("name"), str, "text")
    _expect_kind("job_name", document.get("job_name"), str, "text")
    return document


def _expect_kind(what: str, value: Any, kind: type, expected: str) -> None:
    if not isinstance(value, kind):
        raise InputError(f"{what} is {json.dumps(value):.80}; expected {expected}: take it from a copy.")


def _without_retired(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in RETIRED.get(section, ())}
