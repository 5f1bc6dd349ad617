"""The files of a study: its numbers, its tables and its picture, which names the machine."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fedmed.core import machine
from fedmed.core.files import write_whole


def write_study(out: Path, document: Mapping[str, Any], text: str, figure: Figure) -> None:
    """``out``.json with every number, ``out``.md with the table, ``out``.png with the figure, which names the machine.

    Args:
        document: JSON values, ``machine`` among them.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(beside(out, ".json"), (json.dumps(document, indent=2) + "\n").encode())
    write_whole(beside(out, ".md"), f"{text}\n".encode())
    figure.supxlabel(machine.one_line(document["machine"]), fontsize=8, color="0.35")
    figure.savefig(beside(out, ".png"), dpi=120)


def beside(out: Path, ending: str) -> Path:
    """``out`` with an ending, whatever dots are in its name."""
    return out.with_name(out.name + ending)
