"""A job at a federation's server, from its submission to its results in the run folder."""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fedmed.core.cli import echo
from fedmed.core.errors import RunFailed
from fedmed.core.lines import whole_lines
from fedmed.core.names import LOG, RECORDS
from fedmed.core.timing import TIMING
from fedmed.environments.base import RoundWatcher
from fedmed.environments.failure_reason import failure_reason, reason_of_server
from fedmed.environments.flare.admin_session import Admin, NotPermitted, NotThere, Unreachable
from fedmed.environments.flare.deployment_refusals import NOT_STARTED, in_one_sentence, refusals, why_not_started
from fedmed.runs.run_folder import RunFolder

ENDED, COMPLETED = "FINISHED:", "FINISHED:COMPLETED"
ABNORMAL = "FINISHED:ABNORMAL"
"""FLARE's word for a job, too, whose server ended well while it never heard of the end at a site that is lost."""

RUNNING = "RUNNING"
JOB = "job"
"""The file of the run folder with the identifier of the job that runs it."""


class FollowedJob:
    """A job that was submitted, and the records of its rounds.

    Args:
        check: called at every look; what it raises ends the job.
        watcher: gets every record once.
    """

    def __init__(self, admin: Admin, job_id: str, watcher: RoundWatcher, check: Callable[[], None]) -> None:
        self.admin, self.job_id, self._watcher, self._check = admin, job_id, watcher, check
        self._offset, self._final, self._may_ask = 0, False, True
        self._heard = self._asked = self._there = time.monotonic()
        self._runs = False

    def follow(self) -> str:
        """Hand on the rounds until the job has ended; its state then, in FLARE's words.

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
            time.sleep(TIMING.job_poll_s)

    @property
    def scored(self) -> bool:
        """True once the last model was scored, with which a run is whole."""
        return self._final

    def _wait_again(self, silence: Unreachable) -> None:
        if time.monotonic() > self._heard + TIMING.unreachable_s:
            minutes = TIMING.unreachable_s / 60
            raise RunFailed(
                f"The server has been out of reach for {minutes:.0f} minutes ({silence}); "
                f"job {self.job_id} may still run there."
            ) from silence
        time.sleep(TIMING.unreachable_poll_s)

    def _look(self) -> None:
        """Look at a job that is said to be running."""
        if not self._runs:
            self._runs, self._there = True, time.monotonic()
            refused = in_one_sentence(refusals(self.admin.deployment(self.job_id)))
            if refused:
                echo(f"The job runs, but was {refused}")
        if self._due():
            self._ask()
        if time.monotonic() > self._there + TIMING.job_gone_s:
            raise RunFailed(
                f"The server calls job {self.job_id} {RUNNING} and runs it no more: it was started anew meanwhile."
            )

    def _ask(self) -> None:
        try:
            found = self.admin.records(self.job_id, self._offset)
            self._hand_on(found.lines, found.offset)
        except NotThere:
            return
        except NotPermitted as error:
            self._may_ask = False
            echo(f"{error}; the rounds are shown when the job has ended")
        self._there = time.monotonic()

    def _due(self) -> bool:
        """True where it is time to ask for records: rarely before the first, never after the last."""
        pause = TIMING.job_poll_s if self._offset else TIMING.first_record_s
        if self._final or not self._may_ask:
            self._there = time.monotonic()  # nothing is asked, so nothing is known
            return False
        if time.monotonic() < self._asked + pause:
            return False
        self._asked = time.monotonic()
        return True

    def _hand_on(self, lines: Sequence[str], offset: int) -> None:
        for line in lines:
            record = json.loads(line)
            self._watcher.record(record)
            self._final = bool(record.get("final"))
        self._offset = offset

    def end(self) -> None:
        """End the job and wait until it has ended, as far as the server answers."""
        deadline = time.monotonic() + TIMING.abort_s
        with contextlib.suppress(Exception):  # what ended it must not be hidden
            if not self.admin.status(self.job_id).startswith(ENDED):
                self.admin.abort(self.job_id)
            while time.monotonic() < deadline and not self.admin.status(self.job_id).startswith(ENDED):
                time.sleep(TIMING.job_poll_s)

    def collect(self, folder: RunFolder, *, global_model: bool) -> Path:
        """Fetch what the job left at the server into the run folder, with the rounds that were missed; its log there.

        Raises:
            RunFailed: it cannot be fetched.
        """
        fetched = folder.path / "download"
        try:
            server = self.admin.download(self.job_id, fetched)
            self._hand_on(*whole_lines(server / RECORDS, self._offset))
            folder.collect(server, global_model=global_model)
            if (server / "log.txt").is_file() and not (folder.path / LOG).exists():
                shutil.copy(server / "log.txt", folder.path / LOG)
        except Exception as error:  # FLARE raises a dozen kinds
            raise RunFailed(f"The results of job {self.job_id} cannot be fetched ({error}).") from error
        finally:
            shutil.rmtree(fetched, ignore_errors=True)
        return folder.path / LOG


def _under_way(admin: Admin, folder: RunFolder) -> str | None:
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
    folder: RunFolder,
    watcher: RoundWatcher,
    *,
    global_model: bool,
    lasting: bool = False,
    check: Callable[[], None] = lambda: None,
    reports: Path | None = None,
) -> None:
    """Submit an exported job, follow it to its end and collect what it made, also of a job that failed.

    Args:
        lasting: True where the federation outlives this process, so that a job of the same run may run there already.
        check: raises what ends the run early, such as the death of a process.
        reports: the folder where sites of this machine say why they failed.

    Raises:
        InputError: the server refuses the job.
        RunFailed: it did not end well.
    """
    job_id = (_under_way(admin, folder) if lasting else None) or admin.submit(job)
    followed = FollowedJob(admin, job_id, watcher, check)
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
    _refuse_bad_end(followed, status, log, reports)


def _refuse_bad_end(followed: FollowedJob, status: str, log: Path, reports: Path | None) -> None:
    if status == COMPLETED or (status == ABNORMAL and followed.scored):
        return
    found = failure_reason(reports, log) if reports else reason_of_server(log)
    why = found or f"its state is {status}; the server's log is {log}"
    raise RunFailed(f"Job {followed.job_id} did not end well: {why}")
