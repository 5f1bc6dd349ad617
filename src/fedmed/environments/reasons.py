"""Why a run failed, in the words of whoever noticed it first."""

import re
from pathlib import Path

from fedmed.server.aggregator import NO_UPDATE
from fedmed.server.controller import REFUSED_DATA


def told_by_sites(reports: Path) -> str | None:
    """What the site of this machine that failed first left in ``reports`` (see client.py); None where none did."""
    found = sorted(reports.glob("*.error"), key=lambda path: path.stat().st_mtime)
    return f"{found[0].stem} failed: {found[0].read_text(encoding='utf-8')}" if found else None


def told_by_server(log: Path) -> str | None:
    """The last refusal of the data or of a round's updates in a log of the server; None where there is none."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    refusals = re.findall(rf"(?:{NO_UPDATE}|{REFUSED_DATA}).*", text)
    return refusals[-1] if refusals else None
