"""Several mistakes in one set of data, told together."""

from collections.abc import Sequence

from fedmed.core.errors import InputError


class Problems(InputError):
    """One or more mistakes of a user, a sentence each in ``sentences``."""

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
