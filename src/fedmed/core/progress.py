"""Signs of life on the screen: a bar or a line whose time goes on, so that no long step looks like a halt."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from tqdm import tqdm

from fedmed.core.cli import NOTHING_LEFT, echo

EVERY_S = 1.0
"""Seconds from one look of a bar to the next."""

STOPPED = 130
"""The exit code of a process that was stopped by Ctrl-C."""


@contextlib.contextmanager
def ticking(bar: "tqdm[Any]") -> Iterator["tqdm[Any]"]:
    """Draw a bar again every second, until the end of the block, whether it has moved or not."""
    ended = threading.Event()

    def draw() -> None:
        while not ended.wait(EVERY_S):
            bar.delay = 0  # else what is shown here is not cleared at the end
            bar.refresh()

    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    try:
        yield bar
    finally:
        ended.set()
        thread.join()
        bar.close()


@contextlib.contextmanager
def waiting(what: str) -> Iterator["tqdm[Any]"]:
    """Show on stderr what goes on, and for how long, until the end of the block; nothing where that comes at once."""
    with ticking(tqdm(desc=what, bar_format="{desc}, {elapsed}", leave=False, delay=EVERY_S)) as bar:
        yield bar


@contextlib.contextmanager
def importing(script: str, shown: bool = True) -> Iterator[None]:
    """Show that a script's libraries are imported, which takes seconds, and let Ctrl-C end that by one line.

    An import that is interrupted raises whatever it was about, so the process ends here.

    Args:
        script: its ``__name__``; where it is itself imported, this does nothing.
        shown: whether the imports are many.
    """
    if script != "__main__":
        yield
        return
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(waiting("importing libraries")) if shown else None

        def stop(number: int, frame: FrameType | None) -> None:
            if bar is not None:
                bar.close()
            echo(f"stopped: {NOTHING_LEFT}", sys.stderr)
            os._exit(STOPPED)

        before = signal.getsignal(signal.SIGINT)
        if before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
