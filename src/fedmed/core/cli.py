"""The command line of every script: how arguments are read, lines are printed and a process exits.

A script is ``sys.exit(run_script(main))`` with a ``main`` that raises InputError, OSError or RunFailed and prints by
:func:`echo`. The exit codes are 0 (done), 1 (a run failed), 2 (an input that cannot be used) and 130 (stopped).
"""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TextIO

from fedmed.core.control_characters import harmless
from fedmed.core.errors import InputError, Problems, RunFailed, in_words

NOTHING_LEFT = "nothing is left half-written"
"""What has become of the work of most scripts when Ctrl-C stops them."""


MOST_PROBLEMS = 20
"""Problems of one set of data that are written out."""


class Parser(argparse.ArgumentParser):
    """An argument parser that refuses a command line by an InputError of one sentence."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; {self.prog} --help lists the options.")


def behind_dashes(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments before the first ``--``, and those behind it, which are another command's."""
    own = list(arguments)
    place = own.index("--") if "--" in own else len(own)
    return own[:place], own[place + 1 :]


def absolute_path(text: str) -> Path:
    """A path from the command line, made absolute at once, so that no later change of folder moves it."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; is the variable that it was taken from set?")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error


def run_script(
    main: Callable[[Sequence[str]], int | None],
    arguments: Sequence[str] | None = None,
    *,
    stopped: str = NOTHING_LEFT,
) -> int:
    """The exit code of a script's main function; its errors become one line on stderr, without a traceback.

    Several mistakes in one set of data are a line each.

    SIGTERM and SIGHUP stop a script as Ctrl-C does, so that what it started ends with it; a signal that is ignored, as
    under nohup, stays ignored.

    Args:
        main: takes the arguments; returns an exit code, or None for 0.
        arguments: those of the process where none are given.
        stopped: the sentence for Ctrl-C, of what has become of the work.
    """
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) is not signal.SIG_IGN:
            signal.signal(ending, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # paths may hold what the terminal cannot show
    try:
        return main(sys.argv[1:] if arguments is None else arguments) or 0
    except (InputError, OSError) as error:
        return _refused(error)
    except RunFailed as error:
        return _ended("failed", str(error), 1)
    except KeyboardInterrupt:
        return _ended("stopped", stopped, 130)
    finally:
        try:
            sys.stdout.flush()  # argparse's help may still be in the buffer
        except OSError:
            _discard(sys.stdout)


def _refused(error: InputError | OSError) -> int:
    sentences = error.sentences if isinstance(error, Problems) else (in_words(error),)
    left = len(sentences) - MOST_PROBLEMS
    more = [f"and {left} more of these; correct the first ones and try again."] if left > 0 else []
    for sentence in (*sentences[:MOST_PROBLEMS], *more):
        _ended("error", sentence, 2)
    return 2


def _ended(how: str, why: str, code: int) -> int:
    echo(f"{how}: {' '.join(why.split())}", sys.stderr)  # one line, whatever a path holds
    return code


def echo(text: str, stream: TextIO | None = None) -> None:
    """Print at once, without characters that would act on the terminal.

    A reader that has gone (``job.py | head``) does not end the work: the rest goes nowhere.
    """
    shown = stream or sys.stdout
    try:
        print(harmless(text), file=shown, flush=True)
    except BrokenPipeError:
        _discard(shown)


def _discard(stream: TextIO) -> None:
    """Send a stream to nowhere, with what is still in its buffer."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def warn(sentence: str) -> None:
    """Print a warning on stderr."""
    echo(f"warning: {sentence}", sys.stderr)
