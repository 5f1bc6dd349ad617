"""Sites that share a machine: their environment variables, their threads, and FLARE's folder."""

import os
import secrets
from pathlib import Path

from fedmed.core.allocator import KEEP_MEMORY
from fedmed.core.names import (
    CACHE_VARIABLE,
    DATALIST_VARIABLE,
    DATASET_VARIABLE,
    REPORTS_VARIABLE,
    RUN_VARIABLE,
    SITES,
    STATE_VARIABLE,
)
from fedmed.core.settings import Performance
from fedmed.data.audit.duplicates_exchange import KEY_VARIABLE, key_of_this_site
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder


def threads_of(speed: Performance, sites: int, cores: int) -> int:
    """CPU threads of a site: the cores shared out among the sites, at least one."""
    return speed.cpu_threads or max(1, cores // sites)


def site_variables(experiment: Experiment, running: int, scratch: Path, folder: RunFolder) -> dict[str, str]:
    """The environment variables of the sites' processes: data, threads, state, key, and the folder of their reports.

    Args:
        running: how many sites run at once.
        scratch: a folder for them all that goes when they have ended.
    """
    dataset, datalist = experiment.data.resolved()
    threads = threads_of(experiment.performance, running, len(os.sched_getaffinity(0)))
    return {
        **(KEEP_MEMORY if experiment.performance.freed_memory == "keep" else {}),
        **os.environ,
        DATASET_VARIABLE: str(dataset),
        DATALIST_VARIABLE: str(datalist),
        CACHE_VARIABLE: str(experiment.data.cache_dir or ""),
        "OMP_NUM_THREADS": str(threads),
        **state_variables(folder),
        KEY_VARIABLE: key_of_this_site() or secrets.token_hex(32),
        REPORTS_VARIABLE: str(scratch),
    }


def state_variables(folder: RunFolder) -> dict[str, str]:
    """The variables that make the run folder the place of what outlives the processes of server and sites."""
    return {STATE_VARIABLE: str(folder.path / SITES), RUN_VARIABLE: folder.name}


def workspace_of(asked: Path | None, folder: RunFolder) -> Path:
    """A new folder for FLARE: in the run folder, or numbered in the one that was asked for."""
    if asked is None:
        return folder.path / "flare"
    number = 1
    path = asked / folder.name
    while path.exists():
        number += 1
        path = asked / f"{folder.name}-{number}"
    return path
