"""FLARE's simulator: server and sites as processes of this machine."""

import contextlib
import json
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fedmed.core.errors import InputError, RunFailed
from fedmed.core.options import expect_at_least, option
from fedmed.environments.base import Environment, Watch
from fedmed.environments.failure_reason import told, told_by_sites
from fedmed.environments.flare.polling import STAY_VARIABLE
from fedmed.environments.gpus import check_ids, parse_ids, simulator_groups
from fedmed.environments.plain_paths import interpreter, scratch_folder, spaceless
from fedmed.environments.process_tree import ProcessTree
from fedmed.environments.shared_machine import check_workspace, site_variables, workspace_of
from fedmed.runs.cross_site_matrix import RESULTS
from fedmed.runs.run_folder import LOG
from fedmed.server.quorum import NO_ROUND
from fedmed.server.round_records import RECORDS

if TYPE_CHECKING:
    from fedmed.experiment import Experiment
    from fedmed.runs.run_folder import RunFolder

MOST_SITES = 100
_DEAD_WORKER = re.compile(r"(?:Subprocess died for|Communication error with) client (\S+?)[:,\s]")
_POLL_S = 0.2
_LOOK_S = 2.0  # it reads all of /proc, which every 0.2 s would take a tenth of a core
_SHUTDOWN_S = 60.0  # after the last record nothing is to come but the simulator's own end


@dataclass(frozen=True)
class Sim(Environment):
    """All sites on one machine, each in a process that lives as long as the run."""

    gpu: str | None = option(None, "GPUs of the sites, e.g. 0 or 0,1,2,3; sites are dealt round them", metavar="IDS")
    threads: int | None = option(None, "sites that run at once (default: all)")
    allow_restart: bool = option(
        False, "accept fewer threads than sites: each site's process then starts anew every round"
    )
    workspace: Path | None = option(None, "folder for FLARE's own workspace, which is then kept after the run")
    verbose: bool = option(False, "show FLARE's log on the screen too")

    def check(self, experiment: "Experiment") -> None:
        sites = experiment.training.n_clients
        if self.gpu is not None:
            check_ids(parse_ids(self.gpu), torch.cuda.device_count())
        if sites > MOST_SITES:
            raise InputError(f"--n_clients is {sites}; FLARE's simulator runs at most {MOST_SITES} sites.")
        check_workspace(self.workspace)
        if self.threads is None:
            return
        expect_at_least("threads", self.threads, 1)
        if self.threads < sites and not self.allow_restart:
            raise InputError(
                f"--threads {self.threads} is fewer than the {sites} sites: the simulator would start every site's "
                "process anew each round, which takes time, and the cases that it holds in memory would be lost; "
                f"give --threads {sites}, or --allow_restart if that is wanted."
            )
        if self.threads < sites and (experiment.training.cross_site or not experiment.algorithm.GLOBAL_MODEL):
            raise InputError(
                f"--threads {self.threads} is fewer than the {sites} sites: each site's process would start anew every "
                f"round, and its own model, which this run needs, would be lost; give --threads {sites}."
            )
        if self.threads > sites:
            raise InputError(f"--threads {self.threads} is more than the {sites} sites; give at most {sites}.")

    def sites_stay(self, experiment: "Experiment") -> bool:
        return self.threads is None or self.threads == experiment.training.n_clients

    def statement(self, experiment: "Experiment") -> str:
        at_once = self.threads or experiment.training.n_clients
        where = f"simulator, {at_once} site{'s' if at_once > 1 else ''} at once"
        if self.gpu is None:
            return f"{where}, on the CPU" if not torch.cuda.is_available() else f"{where}, on GPU 0"
        if not torch.cuda.is_available():
            return f"{where}, on the CPU: this machine has no GPU, so --gpu {self.gpu} is not used"
        return f"{where}, on GPUs {simulator_groups(parse_ids(self.gpu), at_once)}"

    def run(self, job: Path, experiment: "Experiment", folder: "RunFolder", watch: Watch) -> None:
        workspace = workspace_of(self.workspace, folder)
        workspace.parent.mkdir(parents=True, exist_ok=True)
        if workspace.exists():  # of a part of the run that was cut off
            with contextlib.suppress(InputError, OSError):
                folder.collect(_server_folder(workspace), global_model=experiment.algorithm.GLOBAL_MODEL)
            shutil.rmtree(workspace)
        try:
            self._simulate(job, workspace, experiment, folder, watch)
        except BaseException:
            with contextlib.suppress(InputError, OSError):  # what failed first is what the user must read
                folder.collect(_server_folder(workspace), global_model=experiment.algorithm.GLOBAL_MODEL)
            raise
        folder.collect(_server_folder(workspace), global_model=experiment.algorithm.GLOBAL_MODEL)
        if self.workspace is None:  # all of value has been collected
            shutil.rmtree(workspace, ignore_errors=True)

    def _simulate(
        self, job: Path, workspace: Path, experiment: "Experiment", folder: "RunFolder", watch: Watch
    ) -> None:
        log = folder.path / LOG
        with scratch_folder() as scratch, log.open("ab") as output:
            command = self._command(job, workspace, scratch, experiment)
            running = self.threads or experiment.training.n_clients
            variables = site_variables(experiment, running, scratch, folder)
            variables[STAY_VARIABLE] = "1" if running == experiment.training.n_clients else ""
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=scratch, env=variables,
                start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the others
                close_fds=False,  # see run_lock.py
            )  # fmt: skip
            tree = ProcessTree(process)
            awaited = _server_folder(workspace) / RESULTS if experiment.training.cross_site else None
            try:
                spared = experiment.faults.spares(experiment.training.n_clients) and self.sites_stay(experiment)
                self._follow(tree, _server_folder(workspace) / RECORDS, log, scratch, watch, awaited, spared)
            finally:
                tree.end()

    def _command(self, job: Path, workspace: Path, scratch: Path, experiment: "Experiment") -> list[str]:
        sites = experiment.training.sites
        at_once = self.threads or len(sites)
        command = [str(interpreter(scratch)), "-m", "nvflare.private.fed.app.simulator.simulator", str(job)]
        command += ["-w", str(spaceless(workspace, scratch)), "-c", ",".join(sites), "-t", str(at_once)]
        if self.gpu is not None and torch.cuda.is_available():
            command += ["-gpu", simulator_groups(parse_ids(self.gpu), at_once)]
        return command

    def _follow(
        self,
        tree: ProcessTree,
        records_file: Path,
        log: Path,
        reports: Path,
        watch: Watch,
        awaited: Path | None,
        spared: bool,
    ) -> None:
        """Until the simulator has ended: hand on the rounds, and end it where it would wait for a dead site.

        Args:
            awaited: a file that the server writes after the last record, at the end of its work.
            spared: whether the server goes on without a dead site.
        """
        records, lines = _Tail(records_file), _Tail(log)
        deadline, dead, next_look, scored = float("inf"), None, 0.0, False
        while time.monotonic() < deadline:
            ended = tree.root.poll() is not None
            for line in records.new_lines():
                record = json.loads(line)
                watch(record)
                scored = bool(record.get("final"))
            if scored and deadline == float("inf") and (awaited is None or awaited.exists()):
                deadline = time.monotonic() + _SHUTDOWN_S
            dead = dead or self._dead_site(lines)
            if ended or (dead and not spared and deadline == float("inf")):
                break
            if time.monotonic() > next_look:
                tree.look()
                next_look = time.monotonic() + _LOOK_S
            time.sleep(_POLL_S)
        if deadline == float("inf") or (awaited and any(reports.glob("*.error"))):
            raise RunFailed(_reason(dead, reports, log))

    def _dead_site(self, lines: "_Tail") -> str | None:
        dead = None
        for line in lines.new_lines():
            if self.verbose:
                with contextlib.suppress(BrokenPipeError):  # that nobody reads any more must not end the run
                    print(line, flush=True)
            match = _DEAD_WORKER.search(line)
            dead = dead or (match.group(1) if match else None)
        return dead


PLUGIN = Sim


def _server_folder(workspace: Path) -> Path:
    return workspace / "server" / "simulate_job"


class _Tail:
    """The whole lines that have been added to a file since the last look."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = path.stat().st_size if path.exists() else 0

    def new_lines(self) -> list[str]:
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self.position)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.position += len(whole)
        return whole.decode("utf-8", errors="replace").splitlines()


def _reason(dead: str | None, reports: Path, log: Path) -> str:
    """Why the run failed, by the words of the site that failed first."""
    found = told(reports, log)
    if dead and told_by_sites(reports) is None and not (found or "").startswith(NO_ROUND):
        return f"The process of {dead} died without a word (killed, or out of memory?); its last lines are in {log}."
    return found or f"FLARE ended the job before its last round; its log is {log}."
