"""A user's session with a running federation, over TLS by the startup kit; always closed again.

FLARE's own session leaves threads behind that keep a process alive for ever unless it is closed, prints as it goes, and
raises a dozen kinds of exceptions.
"""

import contextlib
import io
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from nvflare.apis.fl_exception import FLCommunicationError
from nvflare.fuel.flare_api.api_spec import (
    AuthenticationError,
    AuthorizationError,
    InternalError,
    InvalidJobDefinition,
    JobNotRunning,
    NoConnection,
    NoReply,
    SessionClosed,
)
from nvflare.fuel.flare_api.flare_api import Session, new_secure_session

from fedmed.core.errors import InputError, RunFailed
from fedmed.core.lines import NewLines
from fedmed.core.names import RECORDS_TOPIC
from fedmed.core.timing import TIMING
from fedmed.environments.flare.records_handler import AFTER, FOUND, NEXT
from fedmed.environments.flare.startup_kit import UserKit

T = TypeVar("T")


class Unreachable(RuntimeError):
    """The server does not answer at the moment; what runs there goes on."""


class NotThere(RuntimeError):
    """The server has no process of a job: not yet, no more, or because the server itself was started anew."""


class NotPermitted(RuntimeError):
    """A user may submit a job and fetch its results and yet not ask it while it runs: FLARE's default for a lead."""


class Admin:
    """The calls that this project makes in a session. They raise Unreachable when the server does not answer."""

    def __init__(self, session: Session, kit: UserKit) -> None:
        self._session, self.kit = session, kit

    def sites(self) -> list[str]:
        """The sites that are connected now."""
        return sorted(str(client.name) for client in _ask(self._session.get_connected_client_list))

    def submit(self, job: Path) -> str:
        """Hand in the folder of an exported job; its id.

        Raises:
            InputError: the server refuses it.
        """
        try:
            return _ask(lambda: self._session.submit_job(str(job)))
        except AuthorizationError as error:
            user = self.kit.username
            raise InputError(
                f"{user} may not submit this job (a right to submit jobs or to bring code is missing); "
                "submit it as a lead or a project_admin."
            ) from error
        except (InvalidJobDefinition, InternalError) as error:
            raise InputError(f"The server refuses the job ({_short(error)}); its log says more.") from error

    def status(self, job_id: str) -> str:
        """FLARE's word for how a job is: ``SUBMITTED``, ``RUNNING``, ``FINISHED:COMPLETED`` and others."""
        try:
            return str(_ask(lambda: self._session.get_job_meta(job_id)).get("status"))
        except (InternalError, NoReply) as error:  # busy for a moment; it is asked again
            raise Unreachable(_short(error)) from error

    def deployment(self, job_id: str) -> list[str]:
        """The server's notes of giving the job to its sites, such as ``north: OK``; nothing before."""
        return list(_ask(lambda: self._session.get_job_meta(job_id)).get("job_deploy_detail") or [])

    def records(self, job_id: str, after: int) -> NewLines:
        """The records of a job's rounds after the first so many bytes, a line each; none while it cannot answer.

        Raises:
            NotPermitted: this federation gives the user no right to ask a running job.
            NotThere: the server has no process of this job, whatever its state is called.
        """
        try:
            answer = _ask(lambda: self._session.do_app_command(job_id, RECORDS_TOPIC, {AFTER: after}))
        except JobNotRunning as error:
            raise NotThere(_short(error)) from error
        except (InternalError, NoReply):  # not yet, or between two states
            return NewLines([], after)
        except AuthorizationError as error:
            user = self.kit.username
            raise NotPermitted(f"{user} has no right to {RECORDS_TOPIC} here, FLARE's app_command") from error
        if not isinstance(answer, dict):
            return NewLines([], after)
        if NEXT not in answer:
            raise NotPermitted("The job is of an earlier version, which hands out no records by their place")
        return NewLines(list(answer[FOUND]), int(answer[NEXT]))

    def download(self, job_id: str, into: Path) -> Path:
        """Fetch what a finished job left at the server; the copy of its run folder there."""
        place = _ask(lambda: self._session.download_job_result(job_id, str(into)))
        return Path(place) / "workspace"

    def is_there(self, job_id: str) -> bool:
        """True where the server has a process of this job, or does not let this user know."""
        try:
            self.records(job_id, 0)
        except NotThere:
            return False
        except NotPermitted:
            return True
        return True

    def abort(self, job_id: str) -> None:
        """End a job, whatever it does."""
        _ask(lambda: self._session.abort_job(job_id))


def listening(host: str, port: int) -> bool:
    """True where something answers there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=TIMING.connect_s):
        return True
    return False


@contextlib.contextmanager
def admin_session(kit: UserKit, patience_s: float = TIMING.login_s) -> Iterator[Admin]:
    """Log in.

    Raises:
        InputError: the server cannot be reached, or does not let this user in.
    """
    with _unlogged():
        session = _log_in(kit, patience_s)
        try:
            yield Admin(session, kit)
        except Unreachable as error:
            raise RunFailed(f"The server at {kit.host}:{kit.port} is out of reach ({error}); try again.") from error
        finally:
            with contextlib.suppress(Exception):  # that it cannot say goodbye must not hide what happened
                _ask(session.close)


def _log_in(kit: UserKit, patience_s: float) -> Session:
    where = f"{kit.host}:{kit.port}"
    if not listening(kit.host, kit.port):
        raise InputError(f"No server answers at {where}; look whether it runs and can be reached from here.")
    try:
        return _ask(
            lambda: new_secure_session(
                kit.username, str(kit.path), timeout=patience_s, command_timeout=TIMING.command_s
            )
        )
    except Unreachable as error:
        raise InputError(
            f"What answers at {where} does not take the certificate of {kit.username} ({_short(error)}); "
            f"look whether {kit.path} is a startup kit of this federation."
        ) from error
    except (AuthenticationError, AuthorizationError) as error:
        raise InputError(
            f"The federation's server {where} does not let {kit.username} in ({_short(error)}); "
            "give the startup kit of a user of this federation."
        ) from error
    except InternalError as error:
        raise InputError(f"The login of {kit.username} at {where} failed ({_short(error)}); try again.") from error


def _ask(question: Callable[[], T]) -> T:
    """Call FLARE without its words on the screen."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return question()
    except (NoConnection, SessionClosed, FLCommunicationError) as error:
        raise Unreachable(_short(error)) from error


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Silence FLARE's logger: exceptions carry what goes wrong, and its threads would print it on the screen."""
    logger = logging.getLogger("nvflare")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
