"""The settings of a run that are no choice between plug-ins: training, performance, data, faults."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fedmed.core.errors import InputError
from fedmed.core.names import CACHE_VARIABLE, DATALIST_VARIABLE, DATASET_VARIABLE, SERVER
from fedmed.core.optimizer import OptimizerName
from fedmed.core.options import LARGEST, expect, expect_between, expect_positive, expect_share, option
from fedmed.core.timing import TIMING

CENTRAL_SITE = "site-All"

A_YEAR = 366 * 24 * 3600
"""Seconds; nobody waits longer for an answer."""

MOST_THREADS = 1024
"""More than the cores of any one machine today."""

COUNTS = {"n_clients": 10_000, "num_rounds": 1_000_000, "batch_size": 10_000}
"""The most of what is counted from 1."""

MOST_EPOCHS, LEAST_EPOCH = 10_000, 0.001
"""Local epochs a round: the most, and the least part of one."""


PATIENCE = 5
"""Of ``--schedule plateau``."""


AggregationWeights = Literal["auto", "steps", "cases", "sqrt_cases", "uniform"]
"""The size of a site by which its update counts in the mean; ``auto`` is the algorithm's own choice."""


@dataclass(frozen=True)
class Training:
    """The settings that decide the numbers, whatever the task and the algorithm."""

    n_clients: int = option(4, "sites; 1 is centralised training on site-All.json")
    sites_per_round: int | None = option(None, "sites that train in a round, drawn anew each round (default: all)")
    site_names: str | None = option(
        None, "the sites' names, with commas between them (default: site-1, site-2, ...; site-All where it is one)"
    )
    num_rounds: int = option(600, "federated rounds")
    aggregation_epochs: float = option(
        1, "local epochs a round; below 1 that share of a site's training cases, drawn anew each round"
    )
    aggregation_weights: AggregationWeights = option(
        "auto",
        "a site's update counts by its optimiser steps (auto with FedAvg), its training cases (auto with FedNova), the "
        "square root of these, which lets small sites count for more, or as every other's",
    )
    optimizer: OptimizerName = option(
        "adam", "local optimiser; sgd has Nesterov momentum 0.9, adamw decays weights beside the gradient"
    )
    learning_rate: float = option(1e-4, "learning rate of the local optimiser")
    schedule: Literal["constant", "cosine", "plateau"] = option(
        "constant",
        "learning rate over the rounds: cosine falls from round to round, plateau halves it where the score of the "
        "global model stays",
    )
    warmup_rounds: int = option(0, "first rounds, over which the learning rate rises to its full height")
    patience: int | None = option(
        None, f"scores without a better one before --schedule plateau halves the learning rate (default: {PATIENCE})"
    )
    early_stopping: int | None = option(
        None, "scores of the global model without a better one, after which the run ends (default: it runs on)"
    )
    weight_decay: float = option(1e-5, "weight decay of the local optimiser")
    batch_size: int = option(1, "cases in a training step")
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto", "arithmetic of the forward pass; auto takes bf16 where the hardware computes in it, else fp32"
    )
    send: Literal["last", "best"] = option(
        "last", "a site's weights after its last local epoch, or after the one that scored best on its validation cases"
    )
    running_statistics: Literal["measured", "trained"] = option(
        "measured",
        "batch normalisation's statistics in the global model: measured on it at the sites after each averaging, as "
        "averaged weights have others than any site's, or the mean of those of the sites' training",
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
        for name, most in COUNTS.items():
            expect_between(name, getattr(self, name), 1, most)
        self._check_epochs()
        rounds = self.num_rounds
        expect(1 <= self.validate_every <= rounds, "validate_every", self.validate_every,
               f"1 to {rounds}, the number of rounds")  # fmt: skip
        if self.sites_per_round is not None:
            sites = self.n_clients
            fits = 1 <= self.sites_per_round <= sites
            expect(fits, "sites_per_round", self.sites_per_round, f"1 to {sites}, the number of sites")
        if self.site_names is not None:
            self._check_site_names(self.site_names)
        expect_positive("learning_rate", self.learning_rate, 100)
        expect_between("weight_decay", self.weight_decay, 0, 100)
        self._check_schedule()
        expect(0 <= self.seed < 2**32, "seed", self.seed, "a whole number from 0 to 2^32 - 1")

    def _check_epochs(self) -> None:
        """Refuse what is neither a number of epochs nor a share of one; a whole number is kept as such."""
        epochs = self.aggregation_epochs
        whole = float(epochs).is_integer()
        fits = 1 <= epochs <= MOST_EPOCHS if whole else LEAST_EPOCH <= epochs < 1
        expect(
            fits, "aggregation_epochs", epochs,
            f"a whole number from 1 to {MOST_EPOCHS}, or a share of an epoch from {LEAST_EPOCH:g} to below 1",
        )  # fmt: skip
        object.__setattr__(self, "aggregation_epochs", int(epochs) if whole else float(epochs))

    @property
    def passes(self) -> int:
        """The passes of a round, each through all training cases or, where an epoch is not whole, a share of them."""
        return max(1, int(self.aggregation_epochs))

    def _check_schedule(self) -> None:
        rounds = self.num_rounds
        fits = 0 <= self.warmup_rounds <= rounds
        expect(fits, "warmup_rounds", self.warmup_rounds, f"0 to {rounds}, the number of rounds")
        if self.schedule == "plateau":
            every = self.validate_every
            follows = "scores before the run's end, which --schedule plateau follows: give 1, or another --schedule"
            expect(every == 1 or every < rounds - 1, "validate_every", every, follows)
        if self.early_stopping is not None:
            expect_between("early_stopping", self.early_stopping, 1, COUNTS["num_rounds"])
        if self.patience is not None:
            expect(self.schedule == "plateau", "patience", self.patience, "none where --schedule is not plateau")
            expect_between("patience", self.patience, 0, COUNTS["num_rounds"])

    @property
    def patience_of_plateau(self) -> int:
        """The patience that holds."""
        return PATIENCE if self.patience is None else self.patience

    @property
    def rates_vary(self) -> bool:
        """True where the learning rate is not the same in all rounds."""
        return self.schedule != "constant" or self.warmup_rounds > 0

    def _check_site_names(self, given: str) -> None:
        for site in self.sites:
            fits = bool(re.fullmatch("[A-Za-z0-9_-]{1,64}", site)) and site != SERVER
            expect(fits, "site_names", given, "up to 64 letters, digits, dashes and underscores each, but not server")
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
    """The settings that change the speed of a run but no numbers, except by the order in which floats are rounded."""

    cache_dataset: float = option(0.0, "share of the cases held in memory after their fixed transforms")
    cache_gb: float = option(
        20.0, "most that a machine keeps on disk of cases after their fixed transforms, in GB; 0 keeps nothing"
    )

    validation: Literal["split", "every"] = option(
        "split", "where all sites list the same validation cases: each is scored once, by one site, or by every site"
    )
    memory_format: Literal["auto", "contiguous", "channels_last"] = option(
        "auto", "layout of images in the network; auto is channels_last on CPUs and contiguous on GPUs"
    )
    cpu_threads: int | None = option(None, "CPU threads of a site (default: the cores shared out among the sites)")
    freed_memory: Literal["keep", "return"] = option(
        "keep", "what a training step frees is kept for the next one, in huge pages, or returned; simulator only"
    )
    num_workers: int = option(0, "further processes of a site that prepare cases; 0 is a thread beside the training")
    poll_s: float = option(
        0.05,
        "seconds between two looks of the server for a result, four times as many of a site for a task; 0: FLARE's own",
    )

    def __post_init__(self) -> None:
        expect_between("cache_gb", self.cache_gb, 0, 1_000_000)
        expect_share("cache_dataset", self.cache_dataset)
        if self.cpu_threads is not None:
            expect_between("cpu_threads", self.cpu_threads, 1, MOST_THREADS)
        expect_between("num_workers", self.num_workers, 0, 64)
        expect(0 <= self.poll_s <= 10, "poll_s", self.poll_s, "a number of seconds from 0 to 10")


@dataclass(frozen=True)
class Data:
    """The places of a site's data. They never travel: every site has its own."""

    dataset_base_dir: Path | None = option(None, "folder of the images (default: $DATASET_ROOT)")
    datalist_json_path: Path | None = option(None, "folder of <site>.json, or one such file (default: $DATALIST_ROOT)")
    cache_dir: Path | None = option(
        None, "folder for prepared cases, shared by sites and runs (default: $CACHE_ROOT, or cache beside the runs)"
    )

    @classmethod
    def of_this_site(cls) -> "Data":
        """The places that this machine's environment variables DATASET_ROOT, DATALIST_ROOT and CACHE_ROOT name."""
        return cls(*(_absolute(os.environ.get(name)) for name in (DATASET_VARIABLE, DATALIST_VARIABLE, CACHE_VARIABLE)))

    @property
    def names_a_dataset(self) -> bool:
        """True where a dataset or a datalist is given."""
        return self.dataset_base_dir is not None or self.datalist_json_path is not None

    def resolved(self) -> tuple[Path, Path]:
        """The dataset folder and the datalist path, absolute.

        Raises:
            InputError: one of them is not given or does not exist.
        """
        dataset = _existing(self.dataset_base_dir, "dataset_base_dir", DATASET_VARIABLE, advice_to_fill)
        datalist = _existing(self.datalist_json_path, "datalist_json_path", DATALIST_VARIABLE)
        if not dataset.is_dir():
            raise InputError(f"--dataset_base_dir {dataset} is a file; give the folder that the lists' paths start in.")
        return dataset, datalist


@dataclass(frozen=True)
class Faults:
    """The behaviour of a round without some sites. By default every site must answer, and a run without one ends."""

    min_clients: int | None = option(
        None, "usable updates that a round needs; a site that dies, fails or is late is left out (default: all answer)"
    )
    round_timeout: int | None = option(
        None, "seconds after which a round waits for no more answers (default: for ever)"
    )
    site_silence: float = option(
        120.0, "seconds without a sign of life after which a site counts as lost, until it is heard again"
    )
    max_update_ratio: float = option(
        100.0, "refuse an update that is more times larger than the median of the other sites'; 0 refuses none"
    )
    max_weight_ratio: float = option(
        10.0, "count a site's steps and cases as at most so many times the median of the other sites'; 0 is no limit"
    )

    def __post_init__(self) -> None:
        for name, most in (("min_clients", COUNTS["n_clients"]), ("round_timeout", A_YEAR)):
            if getattr(self, name) is not None:
                expect_between(name, getattr(self, name), 1, most)
        expect(
            1 <= self.site_silence < 86_400, "site_silence", self.site_silence, "a number of seconds from 1 to 86400"
        )
        ratio = self.max_update_ratio
        expect(ratio == 0 or 1 < ratio <= LARGEST, "max_update_ratio", ratio, f"0, or above 1 to {LARGEST:g}")
        ratio = self.max_weight_ratio
        expect(ratio == 0 or 1 <= ratio <= LARGEST, "max_weight_ratio", ratio, f"0, or from 1 to {LARGEST:g}")

    def check_sites(self, sites: int, sites_per_round: int | None = None) -> None:
        """Refuse to wait for more sites than there are, or than train in a round.

        Raises:
            InputError: ``min_clients`` is above their number.
        """
        given, most = self.min_clients, sites_per_round or sites
        which = f"{most} sites that train in a round" if sites_per_round else f"{most} sites of the run"
        expect(given is None or given <= most, "min_clients", given, f"at most the {which}")

    def spares(self, sites: int) -> bool:
        """True where a round may end without one of so many sites."""
        return self.min_clients is not None and self.min_clients < sites

    @property
    def heartbeat_every_s(self) -> float:
        """Seconds from one heartbeat of a site to its next."""
        return self.site_silence / TIMING.heartbeats_per_silence


def _absolute(text: str | None) -> Path | None:
    return Path(text).expanduser().absolute() if text else None


def _existing(path: Path | None, name: str, variable: str, remedy: Callable[[Path], str] | None = None) -> Path:
    if path is None:
        raise InputError(f"No --{name} is given; give it, or set the environment variable {variable}.")
    if not path.exists():
        first = f"{remedy(path)}, or " if remedy else ""
        raise InputError(f"--{name} {path} does not exist; {first}give an existing path, or set {variable}.")
    return path


def advice_to_fill(base_dir: Path) -> str:
    """The advice to fill a dataset folder, with the page that says how where the folder is one of this project's."""
    ours = (base_dir.parent / "prepare.py").is_file()
    return "put the data there" + (f", as {base_dir.parent / 'README.md'} says" if ours else "")
