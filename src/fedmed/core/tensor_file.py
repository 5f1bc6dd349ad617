"""Writing tensors whole or not at all, and with the operating system's own words where that fails."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fedmed.core.files import write_whole


def write_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and numbers as ``torch.load`` reads them; straight to a full disk torch fails in its own words.

    Raises:
        OSError: it cannot be written; what was there is untouched.
    """
    written = io.BytesIO()
    torch.save(dict(content), written)
    write_whole(path, written.getbuffer())
