"""Paths that FLARE's command lines split: it joins them by blanks and takes them apart as a shell does."""

import os
import re
import sys
from pathlib import Path

from fedmed.core.errors import InputError

_SPLITS = re.compile(r"[\s'\"\\#]")


def is_split(path: Path | str) -> bool:
    """True for a path that FLARE would cut at white space or #, or take quotes and backslashes out of."""
    return _SPLITS.search(str(path)) is not None


def refuse_split_python() -> None:
    """Refuse an interpreter with which FLARE's server and sites cannot start a job's processes.

    Raises:
        InputError: this process's is one, or the folder that ``NVFL_WORKSPACE`` has FLARE work in.
    """
    if is_split(sys.executable):
        raise InputError(
            f"Python is {sys.executable}, and FLARE cuts its commands at the white space, quotes, # or backslashes of "
            "a path: a server or site that this Python starts runs no job. Make a link without, such as ln -s "
            f"'{Path(sys.executable).parents[1]}' /opt/fedmed-python, and put its bin first in PATH."
        )
    workspace = os.environ.get("NVFL_WORKSPACE", "")
    if is_split(workspace):
        raise InputError(
            f"NVFL_WORKSPACE is {workspace}, and FLARE cuts its commands at the white space, quotes, # or backslashes "
            "of a path: it would run no job there. Choose a folder without."
        )
