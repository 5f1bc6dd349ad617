"""The part of the model that no round sends, as a site keeps it: frozen entries, and private ones' first values."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fedmed.core.errors import InputError
from fedmed.core.files import private_folder
from fedmed.core.weights import Weights, digest, write_tensors

FILE = "unshared.pt"


class UnsharedPart:
    """The part as the server has sent it once, on the site's disk for its later processes.

    Args:
        form: entries of the site's own network, whose names, shapes and types the part must have; none where all of the
            model is shared.
        folder: of the file; None keeps the part in memory alone.
    """

    def __init__(self, form: Weights, folder: Path | None) -> None:
        self._form = {name: (values.shape, values.dtype) for name, values in form.items()}
        self._path = None if folder is None else folder / FILE
        self._weights: Weights | None = None
        self._digest: str | None = None

    @property
    def digest(self) -> str:
        """The :func:`fedmed.core.weights.digest` of the part that is here; empty where none is."""
        if self._digest is None:
            self._digest = digest(self.weights)
        return self._digest

    @property
    def weights(self) -> Weights:
        """The entries; none where nothing was kept, and where the file is damaged or of another network."""
        if self._weights is None:
            self._weights = self._read() if self._form else {}
        return self._weights

    def _read(self) -> Weights:
        if self._path is not None and self._path.is_file():
            with contextlib.suppress(Exception):  # torch raises many kinds
                found = torch.load(self._path, map_location="cpu", mmap=True, weights_only=True)
                if self._is_of_form(found):
                    weights: Weights = found
                    return weights
        return {}

    def _is_of_form(self, given: Mapping[str, Any]) -> bool:
        return {name: (values.shape, values.dtype) for name, values in given.items()} == self._form

    def keep(self, given: Mapping[str, Any], stated: str, *, begins: bool) -> None:
        """Keep the part that the server has sent.

        Args:
            stated: the digest that the server states.
            begins: True before the run's first round, when another part may take the place of one that is here.

        Raises:
            InputError: it is not the part of this site's network, not what was stated, or not the run's.
        """
        weights = {name: torch.as_tensor(values).clone() for name, values in given.items()}
        if not self._is_of_form(weights):
            raise InputError("What the server sent is not the part of this network that rounds do not send.")
        found = digest(weights)
        if found != stated:
            raise InputError(f"The part that rounds do not send has the digest {found:.12} and not {stated!r:.20}.")
        if self.digest not in ("", found) and not begins:
            raise InputError(
                "The server sent another frozen part than this run began with; restore its checkpoint, or start a new "
                "run."
            )
        if self._path is not None:
            private_folder(self._path.parent)
            write_tensors(self._path, weights)
        self._weights, self._digest = weights, found

    def park(self) -> None:
        """Let go of the memory; the file has the part."""
        if self._path is not None:
            self._weights = None

    def forget(self) -> None:
        """The run is over: remove the file."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
