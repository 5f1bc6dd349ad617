"""The steps of sites on this machine: reported now and then, and the last one always."""

from pathlib import Path

import pytest

from fedmed.core.timing import TIMING
from fedmed.environments.step_progress import StepReport, Steps, steps_of_all


class Clock:
    """Seconds that pass when they are told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_steps_are_reported_now_and_then_and_the_last_of_a_round_at_once(tmp_path: Path, clock: Clock) -> None:
    report, found = StepReport(tmp_path, "site-1", clock), []
    for step in range(1, 9):
        report(step, 8)
        found.append(steps_of_all(tmp_path, ["site-1"])["site-1"].done)
        clock.now += TIMING.step_report_s * 0.4
    assert found == [1, 1, 1, 4, 4, 4, 7, 8]


def test_a_site_that_reported_none_is_left_out_and_so_is_a_file_in_the_making(tmp_path: Path, clock: Clock) -> None:
    StepReport(tmp_path, "site-2", clock)(3, 5)
    assert steps_of_all(tmp_path, ["site-1", "site-2"]) == {"site-2": Steps(3, 5)}
    for text in ("", "4", "4 ", "x 5"):
        (tmp_path / "site-2.steps").write_text(text)
        assert steps_of_all(tmp_path, ["site-1", "site-2"]) == {}


def test_a_report_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path, clock: Clock) -> None:
    StepReport(tmp_path / "gone", "site-1", clock)(1, 1)
    assert steps_of_all(tmp_path / "gone", ["site-1"]) == {}
