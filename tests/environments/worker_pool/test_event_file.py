"""Event files that are closed between two rounds, read by TensorBoard's own reader."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fedmed.environments.worker_pool.event_file import EventFile


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_what_is_gathered_is_written_at_once_and_read_back(tmp_path: Path) -> None:
    events = EventFile(tmp_path / "site-1")
    events.add_scalar("loss", 0.5, 2)
    events.add_scalar("dice", 0.25, 1)
    events.add_scalar("loss", 0.125, 4)
    assert not (tmp_path / "site-1").exists()
    events.flush()
    assert scalars(tmp_path / "site-1") == {"loss": [(2, 0.5), (4, 0.125)], "dice": [(1, 0.25)]}


def test_another_process_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for step in range(3):
        events = EventFile(tmp_path)  # as after a worker's death, or a resume
        events.add_scalar("loss", float(step), step)
        events.flush()
        events.flush()  # writes nothing again
    assert scalars(tmp_path) == {"loss": [(0, 0.0), (1, 1.0), (2, 2.0)]}
    assert [path.name for path in tmp_path.iterdir()] == ["events.out.tfevents.pool"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_no_value_is_too_odd(tmp_path: Path, value: float) -> None:
    events = EventFile(tmp_path)
    events.add_scalar("loss", value, 1)
    events.flush()
    assert scalars(tmp_path)["loss"][0][1] == pytest.approx(value, nan_ok=True)


def test_nothing_gathered_leaves_no_file(tmp_path: Path) -> None:
    EventFile(tmp_path / "site-1").flush()
    assert list(tmp_path.iterdir()) == []
