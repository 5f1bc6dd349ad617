"""A pool of worker processes, through which the sites of a simulation pass in turn."""

import contextlib
import os
import shutil
from dataclasses import dataclass

from fedmed.core.errors import InputError, RunFailed
from fedmed.core.options import expect, expect_between, option
from fedmed.core.plugin import ExperimentView
from fedmed.environments.base import Environment, RoundWatcher
from fedmed.environments.gpus import check_ids, count_gpus, parse_ids
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder

WORKSPACE = "pool"
"""The server's folder of the job, in the run folder, until the run is over."""

MOST_WORKERS = 256
"""Each takes hundreds of MB before it has a case."""


@dataclass(frozen=True)
class Pool(Environment):
    """All sites on one machine, in a few processes with one network each: hundreds of sites, or four quickly."""

    workers: int | None = option(None, "worker processes (default: one a core, or one a GPU, and no more than sites)")
    gpu: str | None = option(
        None, "GPUs of the workers, e.g. 0 or 0,1,2,3; workers are dealt round them", metavar="IDS"
    )
    state_gb: float = option(
        4.0, "most that the workers hold in memory of the sites' states between rounds, in GB; all are on disk too"
    )
    verbose: bool = option(False, "show the tables of the data audit, and the workers' log, on the screen too")

    def __post_init__(self) -> None:
        if self.workers is not None:
            expect_between("workers", self.workers, 1, MOST_WORKERS)
        expect_between("state_gb", self.state_gb, 0, 1_000_000)

    def check(self, experiment: ExperimentView) -> None:
        sites, workers = experiment.training.n_clients, self.workers
        expect(workers is None or workers <= sites, "workers", workers, f"at most {sites}, the number of sites")
        if self.gpu is not None:
            check_ids(parse_ids(self.gpu), count_gpus())
        if experiment.performance.num_workers:
            raise InputError(
                f"--num_workers {experiment.performance.num_workers} would start so many processes for each site, and "
                "in a pool the sites pass through its workers, each of which prepares the next batch in a thread; drop "
                "it, or take --env sim."
            )

    def processes_persist(self, experiment: ExperimentView) -> bool:
        """False: the launcher sees by itself when a worker dies, and sites send no heartbeats."""
        return False

    def count(self, sites: int) -> int:
        """The number of worker processes for so many sites."""
        gpus = self.gpus()
        return min(sites, self.workers or len(gpus) or len(os.sched_getaffinity(0)))

    def gpus(self) -> list[int]:
        """The GPUs that the workers use; none on a machine without."""
        if not count_gpus():
            return []
        return parse_ids(self.gpu) if self.gpu is not None else [0]

    def statement(self, experiment: ExperimentView) -> str:
        workers = self.count(experiment.training.n_clients)
        where = f"pool of {workers} worker process{'es' * (workers > 1)}"
        gpus = self.gpus()
        if gpus:
            return f"{where}, on GPU{'s' * (len(gpus) > 1)} {','.join(map(str, gpus))}"
        unused = f": this machine has no GPU, so --gpu {self.gpu} is not used" if self.gpu is not None else ""
        return f"{where}, on the CPU{unused}"

    def run(self, experiment: Experiment, folder: RunFolder, watcher: RoundWatcher) -> None:
        from fedmed.environments.worker_pool.pool_run import run_pool  # with the server, which other environments have

        run, global_model = folder.path / WORKSPACE, experiment.algorithm.has_global_model
        if run.exists():  # of a part of the run that was cut off
            with contextlib.suppress(InputError, OSError):
                folder.collect(run, global_model=global_model)
            shutil.rmtree(run)
        run.mkdir()
        try:
            run_pool(experiment, self, run, folder, watcher)
        except RuntimeError as error:
            raise RunFailed(str(error)) from error
        finally:
            with contextlib.suppress(InputError, OSError):  # what failed first is what the user must read
                folder.collect(run, global_model=global_model)
            shutil.rmtree(run, ignore_errors=True)


PLUGIN = Pool
