"""The time that FLARE sleeps between two looks for a message: half a second here and there, which adds up over a round.

What FLARE has a setting for is set in the job. A site's process waits in three further places that have none in FLARE
2.9, so their constants are replaced; where another version lacks one, its own stays.
"""

import os
import time
from collections.abc import Callable
from typing import Any

from nvflare.app_common.executors.client_api import in_process_backend
from nvflare.private.fed.client.client_runner import ClientRunner

from fedmed.core.names import PERSISTENT_VARIABLE
from fedmed.core.timing import TIMING


def shorten(context: Any, seconds: float) -> None:
    """Let this site's process look for a model and a result every ``seconds``.

    For a task it asks the server a quarter as often: sites wait long for their next one, and every question costs the
    server and the site a few ms of the cores on which others compute.

    Args:
        context: what ``flare.init()`` returned.
    """
    _replace(in_process_backend, "_RESULT_POLL_INTERVAL", seconds)
    _replace(context.api, "result_check_interval", seconds)
    if os.environ.get(PERSISTENT_VARIABLE):
        fetch = getattr(ClientRunner, "fetch_and_run_one_task", None)
        _replace(ClientRunner, "fetch_and_run_one_task", _until_there_is_one(fetch, TIMING.task_wait_factor * seconds))


def _until_there_is_one(fetch: Callable[..., tuple[float, bool]] | None, seconds: float) -> Any:
    """The simulator's worker sleeps half a second when there is no task; so the answer waits until there is one."""

    def patient(runner: Any, fl_ctx: Any) -> tuple[float, bool]:
        assert fetch is not None
        while True:
            interval, done = fetch(runner, fl_ctx)
            if done or runner.run_abort_signal.triggered:
                return interval, done
            time.sleep(seconds)

    return patient


def _replace(owner: Any, name: str, value: Any) -> None:
    if hasattr(owner, name):
        setattr(owner, name, value)
