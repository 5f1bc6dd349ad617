"""A proof of concept: FLARE's real server and site processes on this machine, over TLS, for the time of one run."""

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fedmed.core.errors import InputError
from fedmed.core.files import check_place
from fedmed.core.names import LOG
from fedmed.core.options import expect, option
from fedmed.core.plugin import ExperimentView
from fedmed.core.split_paths import is_split
from fedmed.environments.base import Environment, RoundWatcher, refuse_attack, refuse_seeded_noise
from fedmed.environments.gpus import check_ids, count_gpus, parse_ids
from fedmed.environments.plain_paths import scratch_folder
from fedmed.environments.shared_machine import site_variables, state_variables, workspace_of
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder

HOST, ADMIN = "localhost", "admin@fedmed.org"
OUTCOMES = {"NVFLARE_CLIENT_OUTCOME_WAIT_TIMEOUT": "30"}
"""For FLARE's server: seconds to wait after a job to hear how it ended at a site that is lost; else 15 minutes."""


@dataclass(frozen=True)
class Poc(Environment):
    """A federation of its own for every run, with new keys and on a free port, so that none is in another's way."""

    port: int | None = option(None, "port of the server (default: one that is free)")
    gpu: str | None = option(None, "GPUs of the sites, e.g. 0 or 0,1,2,3; sites are dealt round them", metavar="IDS")
    workspace: Path | None = option(None, "folder for FLARE's own workspace, which is then kept after the run")

    def __post_init__(self) -> None:
        expect(
            self.port is None or 0 <= self.port < 65536, "port", self.port, "a number from 0, which is any, to 65535"
        )

    def check(self, experiment: ExperimentView) -> None:
        refuse_seeded_noise(experiment)
        refuse_attack(experiment)
        if self.gpu is not None:
            check_ids(parse_ids(self.gpu), count_gpus(), experiment.training.n_clients)
        if self.workspace is not None and is_split(self.workspace):
            raise InputError(
                f"--workspace {self.workspace} has white space, a quote or # in it, at which FLARE's server splits "
                "paths; give a folder without, or none."
            )

    def check_machine(self, experiment: ExperimentView) -> None:
        from fedmed.environments.flare.local_federation import free_port  # with all of FLARE, which sites need not

        free_port(self.port)
        if self.workspace is not None:
            check_place("workspace", self.workspace)

    def statement(self, experiment: ExperimentView) -> str:
        sites = experiment.training.n_clients
        where = f"proof of concept: a server and {sites} site{'s' * (sites > 1)} as processes of this machine, over TLS"
        if not count_gpus():
            unused = f": this machine has no GPU, so --gpu {self.gpu} is not used" if self.gpu is not None else ""
            return f"{where}, on the CPU{unused}"
        return f"{where}, on {f'GPUs {self.gpu}' if self.gpu else 'GPU 0'}"

    def run(self, experiment: Experiment, folder: RunFolder, watcher: RoundWatcher) -> None:
        with scratch_folder() as scratch:  # with it go the private keys; all of value is in the run folder then
            workspace = workspace_of(self.workspace, folder) if self.workspace else scratch / "flare"
            self._run(experiment, workspace, scratch, folder, watcher)

    def _run(
        self, experiment: Experiment, workspace: Path, scratch: Path, folder: RunFolder, watcher: RoundWatcher
    ) -> None:
        from fedmed.environments.flare import local_federation
        from fedmed.environments.flare.admin_session import admin_session
        from fedmed.environments.flare.federation_project import Federation
        from fedmed.environments.flare.job_folder import export_job
        from fedmed.environments.flare.job_monitor import run_job
        from fedmed.environments.flare.provisioning import provision
        from fedmed.environments.flare.startup_kit import user_kit

        sites, storage = experiment.training.sites, workspace / "store"
        federation = Federation(
            HOST, local_federation.free_port(self.port), sites, {ADMIN: "project_admin"}, storage=storage
        )
        kits = provision(federation, workspace)
        variables = {
            HOST: {**os.environ, **OUTCOMES, **state_variables(folder)},
            **self._variables(experiment, scratch, folder),
        }
        needed, global_model = experiment.faults.min_clients, experiment.algorithm.has_global_model
        with contextlib.ExitStack() as stack:
            job = export_job(experiment, Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fedmed-job-"))))
            members = stack.enter_context(
                local_federation.running(federation, kits, folder.path / LOG, scratch, variables, needed)
            )
            admin = stack.enter_context(admin_session(user_kit(kits[ADMIN])))
            members.wait_for_sites(admin)
            run_job(
                admin, job, folder, watcher, global_model=global_model, check=members.check, reports=scratch
            )  # fmt: skip

    def _variables(self, experiment: Experiment, scratch: Path, folder: RunFolder) -> dict[str, dict[str, str]]:
        """Each site's environment variables."""
        sites = experiment.training.sites
        shared = site_variables(experiment, len(sites), scratch, folder)
        if self.gpu is None or not count_gpus():
            return dict.fromkeys(sites, shared)
        ids = parse_ids(self.gpu)
        return {s: {**shared, "CUDA_VISIBLE_DEVICES": str(ids[i % len(ids)])} for i, s in enumerate(sites)}


PLUGIN = Poc
