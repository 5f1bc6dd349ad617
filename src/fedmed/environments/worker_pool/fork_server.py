"""The process that workers are forked from: it imports their libraries once, while the launcher imports its own."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

from fedmed.core.allocator import KEEP_MEMORY

LIBRARIES = ("torch._dynamo", "fedmed.environments.worker_pool.worker", "model")
"""Modules that every worker needs; the first is what PyTorch imports when an optimiser takes its first step."""


def begin(arguments: Sequence[str]) -> None:
    """Start the process where a command line asks for a pool, before anything else is imported."""
    if "pool" in arguments or "--env=pool" in arguments:
        start(keep_memory="return" not in arguments)


def start(*, keep_memory: bool) -> ForkServerContext:
    """The context that forks workers; its process is started unless it is there.

    It has one thread and has not touched a GPU, so that what it forks may do both.

    Args:
        keep_memory: True where workers keep what a training step frees for the next one.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LIBRARIES))
    before, heard = dict(os.environ), signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it and its workers are ended by the launcher, not by Ctrl-C
        os.environ.update({**(KEEP_MEMORY if keep_memory else {}), **before})
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # it passes over in silence what it does not find
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, heard)
        os.environ.clear()
        os.environ.update(before)
    return context
