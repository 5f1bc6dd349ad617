"""The tumour in a new patient's slices, by the model of a task that marks one, in the files' own pixels."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.analysis.prediction.native_grid import THRESHOLD, led_back
from fedmed.analysis.prediction.new_scan import NewScan
from fedmed.core.errors import InputError
from fedmed.data.dicom_series import spacing_of
from fedmed.data.planes import largest_slice
from fedmed.tasks.base import SliceVolumes

NO_SPACING = (
    "The volume is in pixels: tif and png files do not state how far apart pixels and slices lie, as DICOM series do."
)


@dataclass(frozen=True)
class SlicePrediction:
    """The network's answer for a scan. ``probabilities`` is (S, H, W) in the files' pixels."""

    scan: NewScan
    probabilities: NDArray[np.float32]

    @property
    def tumour(self) -> NDArray[np.bool_]:
        """The mask (S, H, W)."""
        return np.asarray(self.probabilities > THRESHOLD)

    @property
    def pixels(self) -> list[int]:
        """The tumour's pixels in each slice."""
        return [int(number) for number in np.count_nonzero(self.tumour, axis=(1, 2))]

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Column, row and slice in mm; None where the files do not state them."""
        return None if self.scan.affine is None else spacing_of(self.scan.affine)

    @property
    def ml(self) -> float | None:
        """The tumour's volume; None where the files do not state the spacing."""
        if self.scan.affine is None:
            return None
        return sum(self.pixels) * abs(float(np.linalg.det(self.scan.affine[:3, :3]))) / 1000

    @property
    def largest(self) -> int:
        """The place of the slice with most tumour; the middle one where there is none."""
        return largest_slice(self.tumour, 0)


def slice_task(model: TrainedModel) -> SliceVolumes:
    """The model's task, which must mark the tumour in slices.

    Raises:
        InputError: it is another one.
    """
    if not isinstance(model.task, SliceVolumes):
        raise InputError(f"{model.label} was trained for the task {model.task.name}, which marks nothing in slices.")
    return model.task


def marked(model: TrainedModel, scan: NewScan, *, flips: bool) -> SlicePrediction:
    """Mark the tumour.

    Raises:
        InputError: the model is of another task, or its prediction holds NaN.
    """
    task = slice_task(model)
    found = led_back(model, task, task.new_volume(), torch.from_numpy(scan.pixels), flips)
    return SlicePrediction(scan, found[0])
