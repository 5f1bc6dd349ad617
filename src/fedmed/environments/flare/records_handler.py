"""FLARE's app command by which a user of a federation reads the records of a running job."""

from pathlib import Path
from typing import Any

from nvflare.apis.fl_context import FLContext

from fedmed.core.lines import whole_lines

AFTER, FOUND, NEXT = "after", "records", "next"
"""In the question: bytes of the file of records that are known. In the answer: the lines that follow, and the bytes
that are known then."""

AT_ONCE = 20
"""Records in an answer, which is one message."""


class RecordsHandler:
    """Answers out of the file of records; called in threads of FLARE, so it holds no state."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, topic: str, data: Any, fl_ctx: FLContext) -> dict[str, Any]:
        after = data.get(AFTER, 0) if isinstance(data, dict) else 0
        known = max(0, after) if isinstance(after, int) else 0
        lines = whole_lines(self.path, known).lines[:AT_ONCE]
        return {FOUND: lines, NEXT: known + sum(len(line.encode()) + 1 for line in lines)}
