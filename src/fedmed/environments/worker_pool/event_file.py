"""A site's file of TensorBoard events, appended to and closed again: hundreds of sites would need as many threads."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class EventFile:
    """Gathers scalars, and appends them to one file of the form that TensorBoard's own writer gives its files."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.out.tfevents.pool"
        self._events: list[Event] = []

    def add_scalar(self, tag: str, scalar: float, global_step: int) -> None:
        """Gather one value at one step."""
        value = Summary.Value(tag=tag, simple_value=scalar)
        self._events.append(Event(wall_time=time.time(), step=global_step, summary=Summary(value=[value])))

    def flush(self) -> None:
        """Append what was gathered."""
        if not self._events:
            return
        with self._records() as records:
            for event in self._events:
                records.write(event.SerializeToString())
        self._events = []

    @contextmanager
    def _records(self) -> Iterator[RecordWriter]:
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            records = RecordWriter(file)
            if new:
                records.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
            yield records
            records.flush()
