"""What the tests of predictions share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.tasks.brats18 import Brats18
from tests.analysis.prediction.patients import ByBrightness, make_patient


@pytest.fixture
def patient(tmp_path: Path) -> Callable[..., tuple[Path, np.ndarray]]:
    """Makes a patient; of 40x36x34 voxels of 1 mm by default."""

    def make(affine: np.ndarray | None = None, shape: tuple[int, int, int] = (40, 36, 34)) -> tuple[Path, np.ndarray]:
        return make_patient(tmp_path / "patient", shape, np.diag([-1.0, -1, 1, 1]) if affine is None else affine)

    return make


@pytest.fixture
def by_brightness() -> Callable[..., TrainedModel]:
    """Makes a model that knows the tumour; takes the task's options."""

    def make(**options: object) -> TrainedModel:
        task = Brats18(infer_roi_size=(48, 48, 48), **options)  # type: ignore[arg-type]
        return TrainedModel("bright", Path("w.pt"), task, "fp32", ByBrightness(), torch.device("cpu"))

    return make
