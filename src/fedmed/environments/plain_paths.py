"""Ways to a path that FLARE's command lines do not split."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fedmed.core.split_paths import is_split


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder by a path that is not split."""
    odd = is_split(tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix="fedmed-", dir="/tmp" if odd else None) as folder:
        yield Path(folder)


def spaceless(path: Path, scratch: Path) -> Path:
    """``path``, by way of a link in ``scratch`` where it holds what the simulator's command lines would split.

    The link ends at the last folder with such a name; those below it, which need not be there yet, stay themselves.
    """
    odd = [folder for folder in (path, *path.parents) if is_split(folder.name)]
    if not odd:
        return path
    link = scratch / f"link-{sum(1 for _ in scratch.iterdir())}"
    link.symlink_to(odd[0], target_is_directory=True)
    return link / path.relative_to(odd[0])


def interpreter(scratch: Path) -> Path:
    """This interpreter, in its virtual environment, by a path that is not split."""
    environment = Path(sys.prefix)
    executable = Path(sys.executable)
    if environment in executable.parents:
        return spaceless(environment, scratch) / executable.relative_to(environment)
    return spaceless(executable, scratch)
