"""A job at a federation's server, from its submission to its results in the run folder."""

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fedmed.core.errors import RunFailed
from fedmed.environments.base import Watch
from fedmed.environments.failure_reason import told, told_by_server
from fedmed.environments.flare.admin_session import Admin, NotThere, NotTold, Unreachable
from fedmed.environments.flare.deployment_refusals import NOT_STARTED, in_one_sentence, refusals, why_not_started
from fedmed.runs.run_folder import LOG
from fedmed.server.round_records import RECORDS, read_records

if TYPE_CHECKING:
    from fedmed.runs.run_folder import RunFolder

ENDED, COMPLETED = "FINISHED:", "FINISHED:COMPLETED"
ABNORMAL = "FINISHED:ABNORMAL"
"""How FLARE calls a job, too, whose server ended well while it never heard of the end at a site that is lost."""

SILENCE_S = 900.0
"""How long a server may be out of reach while a job runs there; it goes on without its user meanwhile."""

RUNNING = "RUNNING"
JOB = "job"
"""In the run folder: which job of the federation's server runs it."""

GONE_S = 20.0
"""How long a server may call a job RUNNING without a process of it: its start and its end take seconds."""

_POLL_S, _POLL_AGAIN_S = 0.5, 5.0
_FIRST_RECORD_S = 3.0  # between questions that nobody can answer yet, each of which is an error in the server's log
_ABORT_S = 60.0


class FollowedJob:
    """A job that was submitted, and what is known of its rounds.

    Args:
        check: called at every look; what it raises ends the job.
        watch: told of every round once.
    """

    def __init__(self, admin: Admin, job_id: str, watch: Watch, check: Callable[[], None]) -> None:
        self.admin, self.job_id, self._watch, self._check = admin, job_id, watch, check
        self._known, self._final, self._may_ask = 0, False, True
        self._heard = self._asked = self._there = time.monotonic()
        self._runs = False

    def follow(self) -> str:
        """Hand on the rounds until the job has ended; how it did, in FLARE's words.

        Raises:
            RunFailed: the server cannot be reached for a long time, or has lost the job.
        """
        while True:
            self._check()
            try:
                status = self.admin.status(self.job_id)
                if status == RUNNING:
                    self._look()
                self._heard = time.monotonic()
            except Unreachable as silence:
                self._wait_again(silence)
                continue
            if status.startswith(ENDED):
                return status
            time.sleep(_POLL_S)

    @property
    def scored(self) -> bool:
        """Whether the last model was scored, with which a run is whole."""
        return self._final

    def _wait_again(self, silence: Unreachable) -> None:
        if time.monotonic() > self._heard + SILENCE_S:
            minutes = SILENCE_S / 60
            raise RunFailed(
                f"The server has been out of reach for {minutes:.0f} minutes ({silence}); "
                f"job {self.job_id} may still run there."
            ) from silence
        time.sleep(_POLL_AGAIN_S)

    def _look(self) -> None:
        """At a job that is said to be running."""
        if not self._runs:
            self._runs, self._there = True, time.monotonic()
            refused = in_one_sentence(refusals(self.admin.deployment(self.job_id)))
            if refused:
                print(f"The job runs, but was {refused}", flush=True)
        if self._due():
            self._ask()
        if time.monotonic() > self._there + GONE_S:
            raise RunFailed(
                f"The server calls job {self.job_id} {RUNNING} and runs it no more: it was started anew meanwhile."
            )

    def _ask(self) -> None:
        try:
            self._hand_on(self.admin.records(self.job_id, self._known))
        except NotThere:
            return
        except NotTold as error:
            self._may_ask = False
            print(f"{error}; the rounds are shown when the job has ended", flush=True)
        self._there = time.monotonic()

    def _due(self) -> bool:
        """Whether it is time to ask for records: rarely before the first, never after the last."""
        pause = _POLL_S if self._known else _FIRST_RECORD_S
        if self._final or not self._may_ask:
            self._there = time.monotonic()  # nothing is asked, so nothing is known
            return False
        if time.monotonic() < self._asked + pause:
            return False
        self._asked = time.monotonic()
        return True

    def _hand_on(self, records: list[dict[str, object]]) -> None:
        for record in records:
            self._watch(record)
            self._final = bool(record.get("final"))
        self._known += len(records)

    def end(self) -> None:
        """End the job and wait until it has ended, as far as the server answers."""
        deadline = time.monotonic() + _ABORT_S
        with contextlib.suppress(Exception):  # what ended it must not be hidden
            if not self.admin.status(self.job_id).startswith(ENDED):
                self.admin.abort(self.job_id)
            while time.monotonic() < deadline and not self.admin.status(self.job_id).startswith(ENDED):
                time.sleep(_POLL_S)

    def collect(self, folder: "RunFolder", *, global_model: bool) -> Path:
        """Fetch what the job left at the server into the run folder, with the rounds that were missed; its log there.

        Raises:
            RunFailed: it cannot be fetched.
        """
        fetched = folder.path / "download"
        try:
            server = self.admin.download(self.job_id, fetched)
            self._hand_on(read_records(server / RECORDS, self._known))
            folder.collect(server, global_model=global_model)
            if (server / "log.txt").is_file() and not (folder.path / LOG).exists():
                shutil.copy(server / "log.txt", folder.path / LOG)
        except Exception as error:  # FLARE raises a dozen kinds
            raise RunFailed(f"The results of job {self.job_id} cannot be fetched ({error}).") from error
        finally:
            shutil.rmtree(fetched, ignore_errors=True)
        return folder.path / LOG


def _under_way(admin: Admin, folder: "RunFolder") -> str | None:
    """The job that a former launcher of this run submitted, if it goes on or has come to a good end without it."""
    if not (folder.path / f"{JOB}.json").is_file():
        return None
    job_id = str(folder.read_json(JOB)["id"])
    try:
        status = admin.status(job_id)
        goes_on = admin.is_there(job_id) if status == RUNNING else not status.startswith(ENDED)
    except Unreachable:
        raise
    except Exception:  # FLARE raises a dozen kinds; the server knows no such job any more
        return None
    return job_id if goes_on or status == COMPLETED else None


def run_job(
    admin: Admin,
    job: Path,
    folder: "RunFolder",
    watch: Watch,
    *,
    global_model: bool,
    lasting: bool = False,
    check: Callable[[], None] = lambda: None,
    reports: Path | None = None,
) -> None:
    """Submit an exported job, follow it to its end and collect what it made, also of a job that failed.

    Args:
        lasting: whether the federation outlives this process, so that a job of the same run may run there already.
        check: raises what ends the run early, such as the death of a process.
        reports: the folder where sites of this machine say why they failed.

    Raises:
        InputError: the server refuses the job.
        RunFailed: it did not end well.
    """
    job_id = (_under_way(admin, folder) if lasting else None) or admin.submit(job)
    followed = FollowedJob(admin, job_id, watch, check)
    try:
        if lasting:
            folder.write_json(JOB, {"id": job_id})
        status = followed.follow()
        if status == NOT_STARTED:
            raise RunFailed(f"Job {job_id} was not started: {why_not_started(admin, job_id)}")
        log = followed.collect(folder, global_model=global_model)
    except BaseException:
        followed.end()
        with contextlib.suppress(RunFailed):  # what failed first is what the user must read
            followed.collect(folder, global_model=global_model)
        raise
    if status != COMPLETED and not (status == ABNORMAL and followed.scored):
        found = told(reports, log) if reports else told_by_server(log)
        why = found or f"its state is {status}; the server's log is {log}"
        raise RunFailed(f"Job {job_id} did not end well: {why}")
