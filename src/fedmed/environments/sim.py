"""FLARE's simulator: server and sites as processes of this machine."""

import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from fedmed.core.errors import InputError, RunFailed
from fedmed.core.lines import whole_lines
from fedmed.core.names import CROSS_SITE_RESULTS, LOG, RECORDS, SERVER, SIMULATED
from fedmed.core.options import expect_between, option
from fedmed.core.plugin import ExperimentView
from fedmed.core.timing import TIMING
from fedmed.environments.base import Environment, RoundWatcher
from fedmed.environments.failure_reason import died_without_a_word, failure_reason, reason_of_sites
from fedmed.environments.gpus import check_ids, count_gpus, parse_ids, simulator_groups
from fedmed.environments.plain_paths import interpreter, scratch_folder, spaceless
from fedmed.environments.process_tree import ProcessTree
from fedmed.environments.shared_machine import check_workspace, site_variables, workspace_of
from fedmed.environments.step_progress import steps_of_all
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.server.quorum import NO_ROUND

MOST_SITES = 100
_DEAD_WORKER = re.compile(r"(?:Subprocess died for|Communication error with) client (\S+?)[:,\s]")


@dataclass(frozen=True)
class Sim(Environment):
    """All sites on one machine, each in a process that lives as long as the run."""

    gpu: str | None = option(None, "GPUs of the sites, e.g. 0 or 0,1,2,3; sites are dealt round them", metavar="IDS")
    threads: int | None = option(None, "sites that run at once (default: all)")
    allow_restart: bool = option(
        False, "accept fewer threads than sites: each site's process then starts anew every round"
    )
    workspace: Path | None = option(None, "folder for FLARE's own workspace, which is then kept after the run")
    verbose: bool = option(False, "show the tables of the data audit, and FLARE's log, on the screen too")

    def check(self, experiment: ExperimentView) -> None:
        sites = experiment.training.n_clients
        if self.gpu is not None:
            check_ids(parse_ids(self.gpu), count_gpus())
        if sites > MOST_SITES:
            raise InputError(f"--n_clients is {sites}; FLARE's simulator runs at most {MOST_SITES} sites.")
        check_workspace(self.workspace)
        if self.threads is not None:
            self._check_threads(experiment, self.threads, sites)

    def _check_threads(self, experiment: ExperimentView, threads: int, sites: int) -> None:
        expect_between("threads", threads, 1, MOST_SITES)
        if threads > sites:
            raise InputError(f"--threads {threads} is more than the {sites} sites; give at most {sites}.")
        if threads < sites and not self.allow_restart:
            raise InputError(
                f"--threads {threads} is fewer than the {sites} sites: the simulator would start every site's "
                "process anew each round, which takes time, and the cases that it holds in memory would be lost; "
                f"give --threads {sites}, or --allow_restart if that is wanted."
            )
        if threads < sites and (experiment.training.cross_site or experiment.algorithm.has_own_models):
            raise InputError(
                f"--threads {threads} is fewer than the {sites} sites: each site's process would start anew every "
                f"round, and its own model, which this run needs, would be lost; give --threads {sites}."
            )

    def processes_persist(self, experiment: ExperimentView) -> bool:
        return self.threads is None or self.threads == experiment.training.n_clients

    def statement(self, experiment: ExperimentView) -> str:
        at_once = self.threads or experiment.training.n_clients
        where = f"simulator, {at_once} site{'s' if at_once > 1 else ''} at once"
        if self.gpu is None:
            return f"{where}, on the CPU" if not count_gpus() else f"{where}, on GPU 0"
        if not count_gpus():
            return f"{where}, on the CPU: this machine has no GPU, so --gpu {self.gpu} is not used"
        return f"{where}, on GPUs {simulator_groups(parse_ids(self.gpu), at_once)}"

    def run(self, experiment: Experiment, folder: RunFolder, watcher: RoundWatcher) -> None:
        workspace = workspace_of(self.workspace, folder)
        server = _server_folder(workspace)
        workspace.parent.mkdir(parents=True, exist_ok=True)
        global_model = experiment.algorithm.has_global_model
        if workspace.exists():  # of a part of the run that was cut off
            with contextlib.suppress(InputError, OSError):
                folder.collect(server, global_model=global_model)
            shutil.rmtree(workspace)
        try:
            self._simulate(workspace, experiment, folder, watcher)
        except BaseException:
            with contextlib.suppress(InputError, OSError):  # what failed first is what the user must read
                folder.collect(server, global_model=global_model)
            raise
        folder.collect(server, global_model=global_model)
        if self.workspace is None:  # all of value has been collected
            shutil.rmtree(workspace, ignore_errors=True)

    def _simulate(self, workspace: Path, experiment: Experiment, folder: RunFolder, watcher: RoundWatcher) -> None:
        from fedmed.environments.flare.job_folder import export_job  # FLARE's recipes take a second to import

        with (
            tempfile.TemporaryDirectory(prefix="fedmed-job-") as staging,
            scratch_folder() as scratch,
            (folder.path / LOG).open("ab") as output,
        ):
            command = self._command(export_job(experiment, Path(staging)), workspace, scratch, experiment)
            running = self.threads or experiment.training.n_clients
            variables = site_variables(experiment, running, scratch, folder)
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=scratch, env=variables,
                start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the others
                close_fds=False,  # see core/locks.py
            )  # fmt: skip
            followed = FollowedSimulation(
                ProcessTree(process), _server_folder(workspace), folder, scratch, experiment, watcher
            )
            followed.verbose = self.verbose
            try:
                followed.follow(spares=experiment.faults.spares(running) and self.processes_persist(experiment))
            finally:
                followed.tree.end()

    def _command(self, job: Path, workspace: Path, scratch: Path, experiment: Experiment) -> list[str]:
        sites = experiment.training.sites
        at_once = self.threads or len(sites)
        command = [str(interpreter(scratch)), "-m", "nvflare.private.fed.app.simulator.simulator", str(job)]
        command += ["-w", str(spaceless(workspace, scratch)), "-c", ",".join(sites), "-t", str(at_once)]
        if self.gpu is not None and count_gpus():
            command += ["-gpu", simulator_groups(parse_ids(self.gpu), at_once)]
        return command


PLUGIN = Sim


def _server_folder(workspace: Path) -> Path:
    return workspace / SERVER / SIMULATED


class FollowedSimulation:
    """A simulator that runs: its records and steps are handed on, and it is ended where it would wait for a dead site.

    Args:
        server: the server's run directory.
        scratch: the folder of the sites' reports.
    """

    verbose = False

    def __init__(
        self,
        tree: ProcessTree,
        server: Path,
        folder: RunFolder,
        scratch: Path,
        experiment: Experiment,
        watcher: RoundWatcher,
    ) -> None:
        self.tree, self.scratch, self.watcher = tree, scratch, watcher
        self.sites = experiment.training.sites
        self.log, self.records = folder.path / LOG, server / RECORDS  # of this job; the run's may be of an earlier one
        self._log_offset, self._records_offset = self.log.stat().st_size, 0
        self._awaited = server / CROSS_SITE_RESULTS if experiment.training.cross_site else None
        self._scored, self._dead, self._next_scan = False, None, 0.0  # type: bool, str | None, float
        self._deadline = 0.0  # of the simulator's own end, once its work is done

    def follow(self, *, spares: bool) -> None:
        """Follow the simulator to its end.

        Args:
            spares: True where the server goes on without a dead site.

        Raises:
            RunFailed: it ended before its work was done.
        """
        while not self._is_over(spares):
            time.sleep(TIMING.follow_s)
        if not self._complete or (self._awaited and any(self.scratch.glob("*.error"))):
            raise RunFailed(self._reason())

    def _is_over(self, spares: bool) -> bool:
        """Look once more; True where the simulator has ended, is too slow to end, or waits for a dead site."""
        ended = self.tree.root.poll() is not None
        self._look()
        if not self._complete:
            return ended or (self._dead is not None and not spares)
        self._deadline = self._deadline or time.monotonic() + TIMING.simulator_end_s
        return ended or time.monotonic() > self._deadline

    @property
    def _complete(self) -> bool:
        """True once the last model is scored and FLARE's cross-site scores are written, where there are any."""
        return self._scored and (self._awaited is None or self._awaited.exists())

    def _look(self) -> None:
        lines, self._records_offset = whole_lines(self.records, self._records_offset)
        for line in lines:
            record = json.loads(line)
            self.watcher.record(record)
            self._scored = bool(record.get("final"))
        self.watcher.progress(steps_of_all(self.scratch, self.sites))
        lines, self._log_offset = whole_lines(self.log, self._log_offset)
        self._read_log(lines)
        if time.monotonic() > self._next_scan:
            self.tree.look()
            self._next_scan = time.monotonic() + TIMING.process_scan_s

    def _read_log(self, lines: list[str]) -> None:
        for line in lines:
            if self.verbose:
                with contextlib.suppress(BrokenPipeError):  # that nobody reads any more must not end the run
                    print(line, flush=True)
            match = _DEAD_WORKER.search(line)
            self._dead = self._dead or (match.group(1) if match else None)

    def _reason(self) -> str:
        """The reason of a failed run, in the words of the site that failed first."""
        found = failure_reason(self.scratch, self.log)
        if self._dead and reason_of_sites(self.scratch) is None and not (found or "").startswith(NO_ROUND):
            return died_without_a_word(self._dead, self.log)
        return found or f"FLARE ended the job before its last round; its log is {self.log}."
