"""The two ways in which a command ends early; scripts turn them into a sentence and an exit code."""

import errno
import traceback
from collections.abc import Sequence
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a disk, a quota or a file system that takes no more."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message reads: what was found, what was expected, what to do.
    """


class Problems(InputError):
    """One or more mistakes of a user in one set of data, told together; a sentence each in ``sentences``."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = tuple(sentences)


def refuse(sentences: Sequence[str]) -> None:
    """Raise the problems, where there are any.

    Raises:
        Problems: there are.
    """
    if sentences:
        raise Problems(sentences)


class RunFailed(RuntimeError):
    """A run that had started could not be finished. The message names the site and its error; exit code 1."""


def in_words(error: BaseException) -> str:
    """The sentence for an error's user; of the operating system's errors too, with the file and what to do."""
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    remedy = "free some space" if error.errno in FULL else "look at the path and its permissions"
    return f"{error.filename} cannot be used ({error.strerror}); {remedy}, or choose another place."


def reason_of(error: BaseException) -> str:
    """The words of the error that came first: a user's mistake and the operating system's as they are, others with
    their kind and place.
    """
    while error.__cause__ is not None:  # MONAI adds in which transform
        error = error.__cause__
    if isinstance(error, InputError | OSError) or error.__traceback__ is None:
        return in_words(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})"


def counted(number: int, noun: str) -> str:
    """A number of things, as people write it: ``1 error``, ``2 errors``."""
    return f"{number} {noun}{'s' * (number != 1)}"
