"""Finds plug-ins by file name: ``fedmed/privacy/svt.py`` is ``--privacy svt``. A new file is all that one needs."""

import importlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fedmed.core.errors import InputError
from fedmed.core.options import from_plain

KINDS = {"task": "tasks", "algorithm": "algorithms", "privacy": "privacy", "env": "environments"}

_DEFINES_PLUGIN = re.compile("^PLUGIN = ", re.MULTILINE)


def names(kind: str) -> list[str]:
    """The plug-ins of a kind (``task``, ``algorithm``, ``privacy`` or ``env``), in alphabetical order.

    They are the files that define ``PLUGIN``; none is imported, as what lies beside them may take seconds.
    """
    package = importlib.import_module(f"fedmed.{KINDS[kind]}")
    return sorted({name for folder in package.__path__ for name in _names_in(folder)})


@cache
def _names_in(folder: str) -> list[str]:
    """The plug-ins in a folder, whose files are read once in a process."""
    files = Path(folder).glob("*.py")
    return [file.stem for file in files if _DEFINES_PLUGIN.search(file.read_text(encoding="utf-8"))]


def find(kind: str, name: str) -> type:
    """The plug-in class called ``name``: the ``PLUGIN`` of the module of that name.

    Raises:
        InputError: there is none of that name.
    """
    known = names(kind)
    if name not in known:
        raise InputError(f"--{kind} is {name}; expected one of {', '.join(known)}.")
    plugin: type = importlib.import_module(f"fedmed.{KINDS[kind]}.{name}").PLUGIN
    return plugin


def rebuilt(kind: str, plain: Mapping[str, Any]) -> Any:
    """A plug-in from its name and options, as in the experiment file.

    Raises:
        InputError: there is none of that name, or it has no such option.
    """
    options = dict(plain)
    return from_plain(find(kind, options.pop("name")), options)
