"""The one description of a run: Task x Algorithm x Privacy x Environment, and how long and how fast to train."""

import dataclasses
import json
import os
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import torch

from fedmed.algorithms.base import Algorithm
from fedmed.core import registry
from fedmed.core.errors import InputError
from fedmed.core.faults import Faults
from fedmed.core.options import expect, expect_at_least, expect_positive, expect_share, from_plain, option, to_plain
from fedmed.data.prepared.cache import Cache, Caching
from fedmed.environments.base import Environment
from fedmed.privacy.base import Mechanism
from fedmed.tasks.base import Task

CENTRAL_SITE = "site-All"


@dataclass(frozen=True)
class Training:
    """What decides the numbers, whatever the task and the algorithm."""

    n_clients: int = option(4, "sites; 1 is centralised training on site-All.json. All take part in every round")
    site_names: str | None = option(
        None, "the sites' names, with commas between them (default: site-1, site-2, ...; site-All where it is one)"
    )
    num_rounds: int = option(600, "federated rounds")
    aggregation_epochs: int = option(1, "local epochs a round")
    learning_rate: float = option(1e-4, "Adam's learning rate")
    weight_decay: float = option(1e-5, "Adam's weight decay")
    batch_size: int = option(1, "cases in a training step")
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto", "arithmetic of the forward pass; auto takes bf16 where the hardware computes in it, else fp32"
    )
    validate_every: int = option(1, "rounds from one validation of the global model to the next; the last is scored")
    seed: int = option(0, "seed of the initial weights, the order of cases, the random transforms and dropout")

    allow_overlap: bool = option(
        False, "accept the same images or patient in training and validation; scores then say nothing of new patients"
    )
    cross_site: bool = option(
        False, "score every site's own model and the global one at every site after the last round; own models leave"
    )

    def __post_init__(self) -> None:
        for name in ("n_clients", "num_rounds", "aggregation_epochs", "batch_size", "validate_every"):
            expect_at_least(name, getattr(self, name), 1)
        expect(self.n_clients <= 10_000, "n_clients", self.n_clients, "at most 10000")
        if self.site_names is not None:
            self._check_site_names(self.site_names)
        expect_positive("learning_rate", self.learning_rate)
        expect_at_least("weight_decay", self.weight_decay, 0)
        expect(0 <= self.seed < 2**32, "seed", self.seed, "a whole number from 0 to 2^32 - 1")

    def _check_site_names(self, given: str) -> None:
        for site in self.sites:
            fits = bool(re.fullmatch("[A-Za-z0-9_-]+", site)) and site != "server"
            expect(fits, "site_names", given, "names of letters, digits, dashes and underscores, but not server")
        expect(len(set(self.sites)) == len(self.sites), "site_names", given, "each name once")
        expect(len(self.sites) == self.n_clients, "site_names", given, f"{self.n_clients} names, as --n_clients says")

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites' names, by which they find their datalists."""
        if self.site_names is not None:
            return tuple(name.strip() for name in self.site_names.split(","))
        return (CENTRAL_SITE,) if self.n_clients == 1 else tuple(f"site-{i + 1}" for i in range(self.n_clients))


@dataclass(frozen=True)
class Performance:
    """What changes the speed of a run but none of its numbers, except by the order in which floats are rounded."""

    cache_dataset: float = option(0.0, "share of the cases held in memory after their fixed transforms")
    cache_gb: float = option(
        20.0, "most that a machine keeps on disk of cases after their fixed transforms, in GB; 0 keeps nothing"
    )

    validation: Literal["split", "every"] = option(
        "split", "where all sites list the same validation cases: each is scored once, by one site, or by every site"
    )
    memory_format: Literal["auto", "contiguous", "channels_last"] = option(
        "auto", "layout of volumes in the network; auto is channels_last on CPUs and contiguous on GPUs"
    )
    cpu_threads: int | None = option(None, "CPU threads of a site (default: the cores shared out among the sites)")
    sites_at_once: int | None = option(
        None,
        "sites of a machine that compute at the same time, the others wait (default: as cores allow, or all)",
    )
    freed_memory: Literal["keep", "return"] = option(
        "keep", "what a training step frees is kept for the next one, in huge pages, or returned; simulator only"
    )
    num_workers: int = option(0, "further processes of a site that prepare cases; 0 is a thread beside the training")
    poll_s: float = option(
        0.05, "seconds between two looks for a message, four times as many for a task; 0: FLARE's own"
    )

    def __post_init__(self) -> None:
        expect_at_least("cache_gb", self.cache_gb, 0)
        expect_share("cache_dataset", self.cache_dataset)
        for name in ("cpu_threads", "sites_at_once"):
            expect(getattr(self, name) is None or getattr(self, name) > 0, name, getattr(self, name), "at least 1")
        expect_at_least("num_workers", self.num_workers, 0)
        expect(0 <= self.poll_s <= 10, "poll_s", self.poll_s, "a number of seconds from 0 to 10")


@dataclass(frozen=True)
class Data:
    """Where a site's data lie. These never travel: every site has its own."""

    dataset_base_dir: Path | None = option(None, "folder of the images (default: $DATASET_ROOT)")
    datalist_json_path: Path | None = option(None, "folder of <site>.json, or one such file (default: $DATALIST_ROOT)")
    cache_dir: Path | None = option(
        None, "folder for prepared cases, shared by sites and runs (default: $CACHE_ROOT, or cache beside the runs)"
    )

    @classmethod
    def of_this_site(cls) -> "Data":
        """What this machine's environment variables DATASET_ROOT, DATALIST_ROOT and CACHE_ROOT say."""
        return cls(*(_absolute(os.environ.get(name)) for name in ("DATASET_ROOT", "DATALIST_ROOT", "CACHE_ROOT")))

    @property
    def names_a_dataset(self) -> bool:
        """Whether anything says where the cases lie."""
        return self.dataset_base_dir is not None or self.datalist_json_path is not None

    def resolved(self) -> tuple[Path, Path]:
        """The dataset folder and the datalist path, absolute.

        Raises:
            InputError: one of them is not given or does not exist.
        """
        dataset = _existing(self.dataset_base_dir, "dataset_base_dir", "DATASET_ROOT")
        datalist = _existing(self.datalist_json_path, "datalist_json_path", "DATALIST_ROOT")
        if not dataset.is_dir():
            raise InputError(f"--dataset_base_dir {dataset} is a file; give the folder that the lists' paths start in.")
        return dataset, datalist


SECTIONS = {"training": Training, "performance": Performance, "data": Data, "faults": Faults}
"""The parts of an experiment that are no choice between plug-ins, by the name of the field."""


RUN_ID = "[0-9]{8}-[0-9]{6}-[0-9a-f]{8}"


def new_run_id() -> str:
    """By what sites tell runs apart: the time, and a number that no other run of the same second has."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Experiment:
    """A run, whole. Equal experiments on equal data on one machine end with equal weights.

    Raises:
        InputError: a value is out of range or the four choices cannot work together.
    """

    task: Task
    algorithm: Algorithm
    privacy: Mechanism
    environment: Environment
    training: Training = field(default_factory=Training)
    performance: Performance = field(default_factory=Performance)
    data: Data = field(default_factory=Data)
    faults: Faults = field(default_factory=Faults)
    run_id: str | None = None  # what the jobs of one run have in common, where its folder does not tell
    job_name: str = option("run", "name of the run's folder; a number is added, nothing is overwritten")
    artifacts: Path | None = option(None, "where run folders are made (default: artifacts beside job.py)")

    def __post_init__(self) -> None:
        expect(
            bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.job_name)),
            "job_name",
            self.job_name,
            "letters, digits, dots, dashes and underscores, starting with a letter or digit",
        )
        if self.run_id is not None and not re.fullmatch(RUN_ID, str(self.run_id)):
            raise InputError(f"The run is called {self.run_id!r:.80}; expected a name that job.py gave it.")
        self.faults.check_sites(self.training.n_clients)
        for choice in (self.task, self.algorithm, self.privacy, self.environment):
            choice.check(self)
        if self.training.cross_site:
            self._check_cross_site()

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

    def to_json(self, *, travelling: bool = False) -> str:
        """As JSON, without ``artifacts``, which says where the run folder is and not what runs.

        A ``travelling`` copy, the one that sites get, leaves all paths of the launching machine at home.
        """
        document: dict[str, Any] = {
            kind: {"name": choice.name, **to_plain(choice)} for kind, choice in self.choices().items()
        }
        document |= {name: to_plain(getattr(self, name)) for name in SECTIONS}
        document |= {"job_name": self.job_name, "run_id": self.run_id}
        if travelling:
            document["data"] = {}
            document["env"] = {"name": self.environment.name}
        return json.dumps(document, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Experiment":
        """Rebuild what :meth:`to_json` wrote.

        Raises:
            InputError: the text is no JSON object or names what is not known here.
        """
        try:
            document = json.loads(text)
            plugins = {kind: dict(document[kind]) for kind in registry.KINDS}
            names = {kind: values.pop("name") for kind, values in plugins.items()}
            document = {"faults": {}, "run_id": None, **document}  # runs of earlier versions have none
            sections: dict[str, Any] = {name: from_plain(cls, document[name]) for name, cls in SECTIONS.items()}
            job_name, run_id = document["job_name"], document["run_id"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"The experiment file cannot be read ({error!r}); write it anew with job.py.") from error
        built: dict[str, Any] = {
            kind: from_plain(registry.find(kind, names[kind]), values) for kind, values in plugins.items()
        }
        return cls(
            task=built["task"],
            algorithm=built["algorithm"],
            privacy=built["privacy"],
            environment=built["env"],
            **sections,
            job_name=job_name,
            run_id=run_id,
        )

    def choices(self) -> dict[str, Task | Algorithm | Mechanism | Environment]:
        """The four choices by the name of their option."""
        return {"task": self.task, "algorithm": self.algorithm, "privacy": self.privacy, "env": self.environment}

    def with_data(self, data: Data) -> "Experiment":
        """The same experiment on a site's own data."""
        return dataclasses.replace(self, data=data)

    def caching(self, device: torch.device | None = None) -> Caching:
        """Where this machine holds prepared cases, on disk only where a folder is named; items are for ``device``.

        Raises:
            InputError: that folder cannot be used.
        """
        folder, limit = self.data.cache_dir, int(self.performance.cache_gb * 1e9)
        disk = Cache(folder, limit) if folder is not None and limit > 0 else None
        apart = self.performance.num_workers > 0  # processes that prepare cases have no GPU
        return Caching(self.performance.cache_dataset, disk, None if apart else device)


def _absolute(text: str | None) -> Path | None:
    return Path(text).expanduser().absolute() if text else None


def _existing(path: Path | None, name: str, variable: str) -> Path:
    if path is None:
        raise InputError(f"No --{name} is given; give it, or set the environment variable {variable}.")
    if not path.exists():
        raise InputError(f"--{name} {path} does not exist; give an existing path, or set {variable}.")
    return path
