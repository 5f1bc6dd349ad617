"""Sites that share a machine: what each of their processes inherits, and how they use its cores."""

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from fedmed.core import turns
from fedmed.core.errors import InputError
from fedmed.core.turns import make_turns
from fedmed.data.audit.duplicates_exchange import KEY_VARIABLE, key_of_this_site
from fedmed.privacy.ledger import RUN_VARIABLE, STATE_VARIABLE
from fedmed.runs.run_folder import SITES

if TYPE_CHECKING:
    from fedmed.experiment import Experiment, Performance
    from fedmed.runs.run_folder import RunFolder

REPORTS_VARIABLE = "FEDMED_REPORTS"
"""The folder where a site leaves the words of the error that ended it, for the screen of its own machine."""

KEEP_MEMORY = {
    "GLIBC_TUNABLES": ":".join(
        (
            "glibc.malloc.arena_max=1",
            f"glibc.malloc.mmap_threshold={2**32}",
            f"glibc.malloc.trim_threshold={2**33}",
            "glibc.malloc.hugetlb=1",
        )
    )
}
"""For glibc: keep what a training step frees for the next one, instead of a page fault for each of its pages; the
kernel is asked for huge pages."""


class Cores(NamedTuple):
    """How the sites of one machine use its cores."""

    threads: int  # CPU threads of a site
    sites_at_once: int  # the other sites wait


def cores_of(speed: "Performance", sites: int, cores: int, gpu: bool) -> Cores:
    """A core each, or more where there are more; sites without a core wait, unless GPUs do the work."""
    threads = speed.cpu_threads or max(1, cores // sites)
    return Cores(threads, min(sites, speed.sites_at_once or (sites if gpu else max(1, cores // threads))))


def site_variables(experiment: "Experiment", running: int, scratch: Path, folder: "RunFolder") -> dict[str, str]:
    """What the sites' processes inherit: where data lie here, their cores, where to wait for turns and to report.

    Args:
        running: how many sites run at once.
        scratch: a folder for them all that goes when they have ended.
    """
    dataset, datalist = experiment.data.resolved()
    cores = cores_of(experiment.performance, running, len(os.sched_getaffinity(0)), torch.cuda.is_available())
    make_turns(scratch / "turns", cores.sites_at_once)
    return {
        **(KEEP_MEMORY if experiment.performance.freed_memory == "keep" else {}),
        **os.environ,
        "DATASET_ROOT": str(dataset),
        "DATALIST_ROOT": str(datalist),
        "CACHE_ROOT": str(experiment.data.cache_dir or ""),
        "OMP_NUM_THREADS": str(cores.threads),
        turns.VARIABLE: str(scratch / "turns"),
        **state_variables(folder),
        KEY_VARIABLE: key_of_this_site() or secrets.token_hex(32),
        REPORTS_VARIABLE: str(scratch),
    }


def state_variables(folder: "RunFolder") -> dict[str, str]:
    """Where the server and the sites keep what outlives their processes: in the run folder."""
    return {STATE_VARIABLE: str(folder.path / SITES), RUN_VARIABLE: folder.name}


def workspace_of(asked: Path | None, folder: "RunFolder") -> Path:
    """A new folder for FLARE: in the run folder, or numbered in the one that was asked for."""
    if asked is None:
        return folder.path / "flare"
    number = 1
    path = asked / folder.name
    while path.exists():
        number += 1
        path = asked / f"{folder.name}-{number}"
    return path


def check_workspace(asked: Path | None) -> None:
    """Refuse what no folder can be made in.

    Raises:
        InputError: it is a file, or lies in one.
    """
    for folder in (asked, *asked.parents) if asked else ():
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--workspace {asked} cannot be made: {folder} is a file; give a folder.")
