"""Refusals of a submitted job by the server or a site, from the notes of FLARE's server as it hands the job out."""

import time
from collections.abc import Sequence

from fedmed.environments.flare.admin_session import Admin

NOT_STARTED = "FINISHED:FAILED_TO_RUN"
"""FLARE's word for a job that a site, or the server itself, did not take."""

_TAKEN, _MARK, _NO_CODE = "OK", "NVFLARE_ERROR: ", "BYOC not permitted"
_LOOKS, _PAUSE_S = 10, 0.3  # the server notes the status first and the reason at once after it


def why_not_started(admin: Admin, job_id: str) -> str:
    """One sentence about a job that was not started: by whose refusal, and what to do."""
    for _ in range(_LOOKS):
        detail = admin.deployment(job_id)
        if detail:
            break
        time.sleep(_PAUSE_S)
    return in_one_sentence(refusals(detail)) or (
        "the server could not start it; its own log says why (a FileNotFoundError there: FLARE cuts commands at "
        "blanks, so neither the server's Python nor its kit may lie under a path with one)."
    )


def refusals(detail: Sequence[str]) -> dict[str, list[str]]:
    """The refusing members (sites, or ``server``) by their reason; what FLARE concludes from it is left out."""
    found: dict[str, list[str]] = {}
    for name, colon, why in (entry.partition(": ") for entry in detail):
        if colon and why != _TAKEN:
            found.setdefault(" ".join(why.removeprefix(_MARK).split()), []).append(name)
    return found


def in_one_sentence(refused: dict[str, list[str]]) -> str:
    """Empty where nobody refused."""
    each = "; ".join(f"refused by {' and '.join(names)} ({why})" for why, names in refused.items())
    if _NO_CODE in refused:
        return f"{each}: the policy there lets no job bring code; submit it with --code installed."
    return f"{each}." if each else ""
