"""Finds plug-ins by file name: ``fedmed/privacy/svt.py`` is ``--privacy svt``. A new file is all that one needs."""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from fedmed.core.errors import InputError
from fedmed.core.options import from_plain

KINDS = {"task": "tasks", "algorithm": "algorithms", "privacy": "privacy", "env": "environments"}


def names(kind: str) -> list[str]:
    """The plug-ins of a kind (``task``, ``algorithm``, ``privacy`` or ``env``), in alphabetical order."""
    package = importlib.import_module(f"fedmed.{KINDS[kind]}")
    found = pkgutil.iter_modules(package.__path__)
    return sorted(m.name for m in found if hasattr(importlib.import_module(f"{package.__name__}.{m.name}"), "PLUGIN"))


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
