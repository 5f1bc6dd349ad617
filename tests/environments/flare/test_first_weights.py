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
from fedmed.core.errors import InputError
from fedmed.core.weights import save_weights
from fedmed.environments.flare.first_weights import CONFIG, FIRST_WEIGHTS, FirstWeights

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
    made = persistor(started, code_here())
    assert made.first_weights(started) == tmp_path / CONFIG / FIRST_WEIGHTS
    model = made.load_model(started)
    assert set(model["weights"]) == set(WEIGHTS)
    assert all(np.array_equal(model["weights"][name], values.numpy()) for name, values in WEIGHTS.items())


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
    other = persistor(started, "0123456789ab")
    with pytest.raises(InputError, match=OTHER_CODE):
        other.first_weights(started)
    with pytest.raises(InputError, match=OTHER_CODE):
        other.load_model(started)
