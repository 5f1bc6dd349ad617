"""Writing a file or a folder whole or not at all, and no more open to others than its place is."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path


def private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for its owner alone; one that is there is closed to others.

    Raises:
        OSError: it cannot be made or closed; the message names it.
    """
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)  # another process may have made it meanwhile
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write ``content`` so that a reader sees the old file or the new one, never a part; a failure leaves no trace.

    In a folder that is its owner's alone the file is too.

    Raises:
        OSError: it cannot be written; the message names ``path``.
    """
    write_together({path: content})


def write_together(contents: Mapping[Path, bytes | memoryview]) -> None:
    """The same of several files: none takes its place before all are on the disk.

    Raises:
        OSError: one cannot be written; the message names it.
    """
    with contextlib.ExitStack() as stack:
        parts = [(_part(path, content, stack), path) for path, content in contents.items()]
        for part, path in parts:
            with _naming(path):
                os.replace(part, path)


def _part(path: Path, content: bytes | memoryview, stack: contextlib.ExitStack) -> Path:
    """A hidden file beside ``path`` with its content, gone when ``stack`` closes unless it was moved."""
    with _naming(path), tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as file:
        part = Path(file.name)
        stack.callback(part.unlink, missing_ok=True)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # or a power cut may leave the new name with nothing in it
        part.chmod(0o600 | (0o066 & ~_umask() & path.parent.stat().st_mode))  # temporary files are their owner's alone
    return part


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """An error of the operating system names ``path``, not what is beside it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def staging_folder(target: Path, inside: bool = False) -> Iterator[Path]:
    """A hidden folder beside ``target`` to prepare its contents in; gone afterwards unless it was renamed.

    With ``inside`` it lies in ``target``, which is made if need be: for files that are moved up into it one by one,
    also where ``target`` is a file system of its own. After a failure the folders made for it are gone, unless in use.

    Raises:
        OSError: something in it cannot be written; the message names ``target``.
    """
    resolved = target.resolve()
    place = resolved if inside else resolved.parent
    made = [folder for folder in (place, *place.parents) if not folder.exists()]
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{resolved.name}.partial-", dir=place) as private:
            # A folder inside, as the temporary one is readable by its owner alone and would stay so when renamed.
            stage = Path(private) / resolved.name
            stage.mkdir()
            yield stage
    except BaseException as error:
        with contextlib.suppress(OSError):  # one that is not empty, and those above it, stay
            for folder in made:
                folder.rmdir()
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise


def _umask() -> int:
    """The permissions that the user takes away from new files; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
