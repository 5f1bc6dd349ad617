"""The two ways in which a command ends early; scripts turn them into a sentence and an exit code."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message reads: what was found, what was expected, what to do.
    """


class RunFailed(RuntimeError):
    """A run that had started could not be finished. The message names the site and its error; exit code 1."""
