"""A new patient's images segmented by a model, and the files made of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.analysis.prediction.native_grid import THRESHOLD, painted, probabilities
from fedmed.analysis.prediction.origin import model_warnings, weights_digest
from fedmed.analysis.prediction.overlay import overlay
from fedmed.analysis.prediction.patient_files import PatientFiles
from fedmed.analysis.prediction.prediction_report import Prediction, document
from fedmed.analysis.prediction.volume_file import is_compressed, volume_bytes
from fedmed.data.brats.brats_layout import SUFFIXES, LabelScheme
from fedmed.data.brats.case_picture import FORMATS, picture_format
from fedmed.data.image_file import read_image

ENDINGS = {"output": SUFFIXES, "probabilities": SUFFIXES, "report": (".json",), "overlay": FORMATS}
"""The files of a prediction, by their options, and how their names may end."""


def predicted(
    patient: PatientFiles, model: TrainedModel, scheme: LabelScheme, warnings: Sequence[str], *, flips: bool
) -> Prediction:
    """Segment the patient.

    Args:
        warnings: sentences of the report about the patient's images.
        flips: average over mirrored copies of the images.
    """
    found = probabilities(model, list(patient.images.values()), flips)
    return Prediction(
        patient=patient,
        model=model.label,
        weights=model.weights,
        weights_sha256=weights_digest(model),
        flips=flips,
        scheme=scheme,
        image=read_image(patient.reference),
        probabilities=found,
        labels=painted(found > THRESHOLD, scheme),
        warnings=(*model_warnings(model), *warnings),
    )


def contents(prediction: Prediction, outputs: Mapping[str, Path]) -> dict[Path, bytes]:
    """The content of every file.

    Args:
        outputs: paths by the names of :data:`ENDINGS`.
    """

    def volume(voxels: NDArray[Any], description: str, path: Path) -> bytes:
        return volume_bytes(voxels, prediction.patient.reference, description, is_compressed(path))

    channels_last = np.moveaxis(prediction.probabilities, 0, -1)
    make: Mapping[str, Callable[[Path], bytes]] = {
        "output": lambda path: volume(prediction.labels, f"labels of {prediction.scheme.name}", path),
        "probabilities": lambda path: volume(channels_last, "probabilities of TC, WT, ET", path),
        "report": lambda path: f"{json.dumps(document(prediction, outputs), indent=2)}\n".encode(),
        "overlay": lambda path: overlay(prediction, picture_format(path)),
    }
    return {path: make[option](path) for option, path in outputs.items()}
