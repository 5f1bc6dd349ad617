"""The memory that a process takes together with all that it has started."""

import contextlib

import psutil


def memory_of(pid: int) -> int:
    """Bytes of a process and its descendants; 0 where it has ended. What they share counts once (PSS)."""
    total = 0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().pss
    return total
