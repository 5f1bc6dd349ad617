"""Watching and ending a process with all that it has started, also what has detached itself."""

import contextlib
import subprocess
from collections.abc import Iterator

import psutil

from fedmed.core.timing import TIMING


class ProcessTree:
    """A process and every descendant ever seen.

    FLARE's workers lead sessions of their own and outlive their parent, so that neither a signal to the group nor a
    later look at the tree would reach them; :meth:`look` has to be called now and then.
    """

    def __init__(self, root: subprocess.Popen[bytes]) -> None:
        self.root = root
        self.seen: dict[int, psutil.Process] = {root.pid: psutil.Process(root.pid)}

    def look(self) -> None:
        """Take note of the processes that are there now."""
        for process in list(self.seen.values()):
            with contextlib.suppress(psutil.Error):
                for child in process.children(recursive=True):
                    self.seen.setdefault(child.pid, child)

    def end(self, patience_s: float = TIMING.termination_s) -> None:
        """End them all: politely first, then surely."""
        self.look()
        for process in self._alive():
            with contextlib.suppress(psutil.Error):
                process.terminate()
        psutil.wait_procs(list(self._alive()), timeout=patience_s)
        self.look()
        for process in self._alive():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.root.wait()
        psutil.wait_procs(list(self._alive()), timeout=patience_s)

    def _alive(self) -> Iterator[psutil.Process]:
        return (process for process in list(self.seen.values()) if process.is_running())
