"""The files of this project that a bundle holds, word for word: those of its network and of its preparation."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fedmed
from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.core.errors import InputError

NETWORKS = f"{fedmed.__name__}.networks."
"""The beginning of the names of modules that need nothing but MONAI and one another."""


def sources(modules: Sequence[str]) -> dict[Path, str]:
    """The texts of modules and of all that they import of this project, by their paths under the project's name."""
    root = Path(fedmed.__file__).parents[1]
    found: dict[Path, str] = {}
    left = list(modules)
    while left:
        place = Path(*left.pop().split("."))
        path = place.with_suffix(".py")
        if path in found or not (root / path).is_file():  # a name within a module, or a package
            continue
        found[path] = (root / path).read_text(encoding="utf-8")
        found |= {folder / "__init__.py": "" for folder in place.parents if folder.name}
        left += _imported(found[path])
    return found


def _imported(text: str) -> Iterator[str]:
    """The modules of this project that a text imports from, and what may be modules in them."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{fedmed.__name__}."):
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def network_kind(model: TrainedModel) -> str:
    """The network's class among those that need nothing but MONAI, with its module.

    Raises:
        InputError: it is none of them.
    """
    kinds = [kind for kind in type(model.network).__mro__ if kind.__module__.startswith(NETWORKS)]
    if not kinds:
        raise InputError(
            f"The network is a {type(model.network).__name__}; a bundle of {model.task.name} can be made of its "
            "networks alone."
        )
    return f"{kinds[0].__module__}.{kinds[0].__name__}"


def network_arguments(model: TrainedModel) -> dict[str, Any]:
    """The arguments with which that class makes the network."""
    arguments: dict[str, Any] = model.network.arguments  # type: ignore[assignment]
    return dict(arguments)
