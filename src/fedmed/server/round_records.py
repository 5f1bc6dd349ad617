"""The server's records of a job's rounds, for whoever follows it from afar."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nvflare.apis.fl_context import FLContext

RECORDS = "rounds.jsonl"
"""One line a round in the server's run folder; the last one scores the final model."""

TOPIC = "fedmed.rounds"
"""The app command by which a user of the federation asks for records."""

EARLIER = "earlier"
"""In a record: it is of an earlier job of the same run."""

AFTER, FOUND = "after", "records"
"""In the question: how many records are known already. In the answer: those that follow."""

_AT_ONCE = 20  # an answer is one message


def read_records(path: Path, after: int = 0) -> list[dict[str, Any]]:
    """The whole lines of a file of records after the first so many; none where there is no file."""
    if not path.is_file():
        return []
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1].decode("utf-8", errors="replace")
    return [json.loads(line) for line in whole.splitlines()[after:]]


def write_records(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Begin the file anew with the records of an earlier part of the run."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def add_record(path: Path, record: Mapping[str, Any]) -> None:
    """Add one line to the file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


class Teller:
    """Answers the app command out of the file of records; called in threads of FLARE, so it keeps nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, topic: str, data: Any, fl_ctx: FLContext) -> dict[str, Any]:
        after = data.get(AFTER, 0) if isinstance(data, dict) else 0
        return {FOUND: read_records(self.path, max(0, int(after)))[:_AT_ONCE]}
