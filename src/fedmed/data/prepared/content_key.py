"""A name for what was made from some files in some way: other contents or another way give another name."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from fedmed.core.errors import InputError


def content_key(files: Iterable[Path], recipe: str) -> str:
    """64 hexadecimal digits (SHA-256) that depend on the files' bytes in their order and on ``recipe``, not on names.

    Raises:
        InputError: a file cannot be read.
    """
    digest = hashlib.sha256(recipe.encode())
    for path in files:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); copy it again or correct the list.") from error
    return digest.hexdigest()
