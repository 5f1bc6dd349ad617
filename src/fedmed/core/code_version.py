"""The version of the code that runs here: a fingerprint of its files, to be compared with that of a job's code."""

import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from fedmed.core.errors import InputError

PACKAGE = Path(__file__).resolve().parents[1]
REPOSITORY = PACKAGE.parents[1]
"""The checkout that holds job.py, client.py and model.py beside ``src``; at a site where code travels, the job's."""

SCRIPTS = ("client", "model")
"""The modules beside the package that a job runs: what a site does, and the networks."""

OTHER_CODE = "The job was made with other code than runs here:"


def fingerprint(package: Path, scripts: Iterable[Path]) -> str:
    """Twelve hexadecimal digits of a SHA-256 over the names and contents of a package's Python files and of scripts."""
    files = {path.relative_to(package).as_posix(): path for path in package.rglob("*.py")}
    files |= {f"../{path.name}": path for path in scripts}
    each = "".join(f"{hashlib.sha256(files[name].read_bytes()).hexdigest()} {name}\n" for name in sorted(files))
    return hashlib.sha256(each.encode()).hexdigest()[:12]


def script(name: str) -> Path:
    """The file of a module beside the package: what travelled with the job, or the checkout that is installed here.

    Raises:
        InputError: Python finds none.
    """
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise InputError(
            f"Python finds no {name}.py here; start FLARE with PYTHONPATH=REPOSITORY/src:REPOSITORY, "
            "or have the job submitted with code that travels."
        )
    return Path(found.origin)


def code_here() -> str:
    """The fingerprint of the code that this process runs."""
    return fingerprint(PACKAGE, [script(name) for name in SCRIPTS])


def expect_code(made_with: str) -> None:
    """Refuse to go on with other code than the job's: what a run says of itself would not be true.

    Raises:
        InputError: this process runs other code.
    """
    here = code_here()
    if here != made_with:
        raise InputError(
            f"{OTHER_CODE} {made_with} was expected, and {here} is in {PACKAGE}; install the version "
            "that the job was made with, or take yours off PYTHONPATH where the job brings its code along."
        )
