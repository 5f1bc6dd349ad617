"""The folder where a site, or the server, keeps what is its own of a run and outlives its process."""

import os
import re
from pathlib import Path

from fedmed.core.errors import InputError
from fedmed.core.names import RUN_VARIABLE, STATE_VARIABLE


def site_folder(site: str, job_id: str) -> Path:
    """A site's folder of a job; in a simulation the folder around it is one run's alone.

    Raises:
        InputError: ``job_id``, which may come with a job, is no plain name.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", job_id):
        raise InputError(f"The run is called {job_id!r:.80}; expected letters, digits, dashes and underscores.")
    folder = Path(os.environ.get(STATE_VARIABLE) or Path.cwd() / "fedmed_state")
    return (folder if os.environ.get(RUN_VARIABLE) else folder / job_id) / site


def run_name(job_id: str) -> str:
    """The name of the run at a site: the launcher's, else the job's."""
    return os.environ.get(RUN_VARIABLE) or job_id
