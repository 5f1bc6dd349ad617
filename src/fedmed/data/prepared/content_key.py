"""The key of a result that was made from files: other contents or other work give another key."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from fedmed.core.errors import InputError


def content_key(files: Iterable[Path], work: str) -> str:
    """64 hexadecimal digits (SHA-256) that depend on the files' bytes in their order and on ``work``, not on names.

    Args:
        files: the files that were read.
        work: text that is equal where equal work was done on them.

    Raises:
        InputError: a file cannot be read.
    """
    digest = hashlib.sha256(work.encode())
    for path in files:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); copy it again or correct the list.") from error
    return digest.hexdigest()
