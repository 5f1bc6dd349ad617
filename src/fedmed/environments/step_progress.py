"""The steps of a round, from the sites' processes to the launcher on the same machine: a small file a site."""

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from fedmed.core.timing import TIMING

SUFFIX = ".steps"


class Steps(NamedTuple):
    """Optimiser steps of a site in its round, so far and in all."""

    done: int
    of: int


class StepReport:
    """Writes a site's steps, at most a few times a second.

    Args:
        folder: of the reports of all sites.
        clock: seconds from some moment on.
    """

    def __init__(self, folder: Path, site: str, clock: Callable[[], float]) -> None:
        self._path, self._clock = folder / f"{site}{SUFFIX}", clock
        self._next = 0.0

    def __call__(self, done: int, of: int) -> None:
        if done == of or self._clock() >= self._next:
            self._next = self._clock() + TIMING.step_report_s
            with contextlib.suppress(OSError):  # no run is given up for its progress bar
                self._path.write_text(f"{done} {of}", encoding="utf-8")


def steps_of_all(folder: Path, sites: Iterable[str]) -> dict[str, Steps]:
    """The steps of the sites that have reported any; a file in the making is left out."""
    found = {}
    for site in sites:
        with contextlib.suppress(OSError, ValueError):
            done, of = (folder / f"{site}{SUFFIX}").read_text(encoding="utf-8").split()
            found[site] = Steps(int(done), int(of))
    return found
