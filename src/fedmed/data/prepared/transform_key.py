"""The work of transforms as text: equal text for equal work, so that cached results are found again."""

import enum
import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from monai.transforms import RandomizableTrait

LIBRARIES = ("monai", "nibabel", "numpy", "torch")
"""The libraries that compute. Another version of one may compute otherwise, so it changes the text."""


def transforms_text(transforms: Sequence[Any]) -> str:
    """The transforms' classes with all that they hold, the source of those that are no library's, and the versions.

    It is read off the objects, so that no one has to think of it when a transform changes.

    Raises:
        TypeError: a transform is random, or holds an object without dependable text, such as a lambda.
    """
    versions = {name: version(name) for name in LIBRARIES}
    return json.dumps([versions, [_described(transform) for transform in transforms]], sort_keys=True)


def _described(value: Any) -> Any:
    if isinstance(value, RandomizableTrait):
        raise TypeError(f"{type(value).__name__} is random, so no result of it can be found again.")
    if value is None or (isinstance(value, bool | int | float | str) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _described(each) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [_described(each) for each in value]
    if isinstance(value, np.ndarray | np.generic | torch.Tensor):
        return [str(value.dtype), value.tolist()]
    return _described_object(value)


def _described_object(value: Any) -> Any:
    """The text of a setting, a class, a function, or of an object with all that it holds."""
    if isinstance(value, enum.Enum | torch.dtype | torch.device | np.dtype):
        return str(value)
    if isinstance(value, type) or inspect.isroutine(value):
        return _name(value)
    return {"class": _name(type(value)), "source": _source(type(value)), "holds": _described(vars(value))}


def _name(thing: Any) -> str:
    name = f"{thing.__module__}.{thing.__qualname__}"
    if "<lambda>" in name:
        raise TypeError(f"{name} has no name of its own, so its name does not state its work.")
    return name


def _source(cls: type) -> str | None:
    """A digest of the class's module where no library's version stands for it."""
    return None if cls.__module__.partition(".")[0] in LIBRARIES else _digest(cls.__module__)


@functools.cache
def _digest(module: str) -> str:
    return hashlib.sha256(inspect.getsource(sys.modules[module]).encode()).hexdigest()
