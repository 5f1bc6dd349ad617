"""Finds plug-ins by file name: ``fedmed/privacy/svt.py`` is ``--privacy svt``. A new file is all that one needs."""

import importlib
import pkgutil

from fedmed.core.errors import InputError

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
