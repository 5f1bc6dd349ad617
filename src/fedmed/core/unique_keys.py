"""JSON objects in which no key stands twice, since a reader would keep one of them and say nothing."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from fedmed.core.errors import InputError


def unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The object of some keys and values, as ``object_pairs_hook`` of :func:`json.loads`.

    Raises:
        InputError: a key stands there twice; the words follow the file's name.
    """
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise InputError(f"states {json.dumps(twice[0]):.80} twice in one object, of which one would be ignored")
    return dict(pairs)
