"""The server's persistor begins with the job's weights, bit for bit, and unpickles nothing."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext

from fedmed.core.code_version import OTHER_CODE, code_here
from fedmed.core.weights import save_weights
from fedmed.environments.flare.first_weights import FirstWeights
from fedmed.environments.flare.job_folder import CONFIG, FIRST_WEIGHTS

WEIGHTS = {"conv.weight": torch.randn(2, 3), "norm.bias": torch.randn(4)}


@pytest.fixture
def started(tmp_path: Path) -> FLContext:
    """FLARE's context of a job whose folder is this."""
    (tmp_path / CONFIG).mkdir()
    context = FLContext()
    context.set_prop(FLContextKey.APP_ROOT, str(tmp_path))
    return context


def persistor(context: FLContext, code: str) -> FirstWeights:
    made = FirstWeights(code)
    made.handle_event(EventType.START_RUN, context)
    return made


def test_it_begins_with_the_weights_in_the_jobs_configuration(started: FLContext, tmp_path: Path) -> None:
    save_weights(WEIGHTS, tmp_path / CONFIG / FIRST_WEIGHTS)
    model = persistor(started, code_here()).load_model(started)
    assert set(model["weights"]) == set(WEIGHTS)
    assert all(np.array_equal(model["weights"][name], values.numpy()) for name, values in WEIGHTS.items())


def test_in_a_run_that_goes_on_it_begins_with_the_checkpoint(started: FLContext, tmp_path: Path) -> None:
    save_weights(WEIGHTS, tmp_path / CONFIG / FIRST_WEIGHTS)
    later = {name: values + 1 for name, values in WEIGHTS.items()}
    save_weights(later, tmp_path / "after-3.pt")
    made = persistor(started, code_here())
    made.checkpoint = tmp_path / "after-3.pt"
    model = made.load_model(started)
    assert all(np.array_equal(model["weights"][name], values.numpy()) for name, values in later.items())


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("harm",)


def test_it_unpickles_nothing(started: FLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Harmful()}, tmp_path / CONFIG / FIRST_WEIGHTS)
    assert persistor(started, code_here()).load_model(started) is None
    assert not (tmp_path / "harm").exists()


def test_with_other_code_than_the_jobs_it_loads_nothing_and_says_so(started: FLContext, tmp_path: Path) -> None:
    save_weights(WEIGHTS, tmp_path / CONFIG / FIRST_WEIGHTS)
    assert persistor(started, "0123456789ab").load_model(started) is None
    assert OTHER_CODE in started.get_prop(FLContextKey.EVENT_DATA)  # what FLARE ends the job with
