"""FLARE's waits: what is replaced is there in this version, and a site that waits still hears the end."""

from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.app_common.executors.client_api import in_process_backend
from nvflare.client.in_process.api import InProcessClientAPI
from nvflare.private.fed.client.client_runner import ClientRunner

from fedmed.core.names import PERSISTENT_VARIABLE
from fedmed.environments.flare import polling


class Runner:
    """Gives no task a few times, then one, or the end of the run."""

    def __init__(self, empty: int, end: bool) -> None:
        self.left, self.end, self.calls = empty, end, 0
        self.run_abort_signal = SimpleNamespace(triggered=False)

    def fetch(self, _: Any) -> tuple[float, bool]:
        self.calls += 1
        self.left -= 1
        self.run_abort_signal.triggered = self.end and self.left < 0
        return 0.2, not self.end and self.left < 0


@pytest.fixture(autouse=True)
def _flare_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_process_backend, "_RESULT_POLL_INTERVAL", in_process_backend._RESULT_POLL_INTERVAL)
    monkeypatch.setattr(ClientRunner, "fetch_and_run_one_task", ClientRunner.fetch_and_run_one_task)


def context() -> SimpleNamespace:
    return SimpleNamespace(api=InProcessClientAPI(task_metadata={}, result_check_interval=0.5))


@pytest.mark.parametrize("stay", ["", "1"])
def test_flare_looks_as_often_as_it_is_told(monkeypatch: pytest.MonkeyPatch, stay: str) -> None:
    monkeypatch.setenv(PERSISTENT_VARIABLE, stay)
    own, here = ClientRunner.fetch_and_run_one_task, context()
    polling.shorten(here, 0.03)
    assert here.api.result_check_interval == 0.03
    assert in_process_backend._RESULT_POLL_INTERVAL == 0.03
    assert (ClientRunner.fetch_and_run_one_task is own) is (stay == "")


@pytest.mark.parametrize("end", [False, True], ids=["a task comes", "the run ends"])
def test_a_site_that_stays_waits_until_something_comes(end: bool) -> None:
    runner = Runner(empty=3, end=end)
    patient = polling._until_there_is_one(lambda self, ctx: self.fetch(ctx), 0.001)
    assert patient(runner, None) == (0.2, not end)
    assert runner.calls == 4


def test_another_version_of_flare_keeps_its_own_waits() -> None:
    bare = SimpleNamespace()
    polling._replace(bare, "_RESULT_POLL_INTERVAL", 1)
    assert vars(bare) == {}
