"""How long FLARE sleeps between two looks for a message: half a second here and there, which adds up over a round.

What FLARE has a setting for is set in the job. A site's process waits in two further places that have none in FLARE
2.9, so their constants are replaced; where another version lacks one, its own stays.
"""

from typing import Any

from nvflare.app_common.executors.client_api import in_process_backend


def shorten(context: Any, seconds: float) -> None:
    """Let this site's process look for a model and a result every ``seconds``.

    Args:
        context: what ``flare.init()`` returned.
    """
    _replace(in_process_backend, "_RESULT_POLL_INTERVAL", seconds)
    _replace(context.api, "result_check_interval", seconds)


def _replace(owner: Any, name: str, value: float) -> None:
    if hasattr(owner, name):
        setattr(owner, name, value)
