"""The report of a prediction: as text for the screen, and as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmed.analysis.prediction.measures import Measured, measured, parts_of
from fedmed.analysis.prediction.native_grid import THRESHOLD
from fedmed.analysis.prediction.origin import NOTICE
from fedmed.analysis.prediction.patient_files import PatientFiles
from fedmed.data.brats.brats_layout import LabelScheme
from fedmed.data.image_file import ImageFile

REGIONS = {"TC": "tumour core", "WT": "whole tumour", "ET": "enhancing tumour"}


@dataclass(frozen=True)
class Prediction:
    """A patient's segmentation and where it came from."""

    patient: PatientFiles
    model: str  # as its users call it
    weights: Path
    weights_sha256: str
    flips: bool
    scheme: LabelScheme
    image: ImageFile  # whose voxels the labels are of
    probabilities: NDArray[np.float32]  # (3, X, Y, Z) of TC, WT and ET
    labels: NDArray[np.uint8]  # (X, Y, Z)
    warnings: tuple[str, ...]

    def measured(self) -> dict[str, Measured]:
        """The regions and the parts of the tumour."""
        assert self.image.affine is not None  # it is a volume
        return measured(self.labels, self.image.affine, self.scheme)

    def outside(self) -> dict[str, int]:
        """Voxels in which the network's regions did not lie in one another, as those of a tumour do."""
        core, whole, enhancing = self.probabilities > THRESHOLD
        return {"TC outside WT": int((core & ~whole).sum()), "ET outside TC": int((enhancing & ~core).sum())}


def document(prediction: Prediction, outputs: Mapping[str, Path]) -> dict[str, Any]:
    """The whole report as JSON values; ``outputs`` are the files that are written, by their options."""
    found = {name: {**each._asdict(), "empty": not each.voxels} for name, each in prediction.measured().items()}
    return {
        "patient": prediction.patient.name,
        "inputs": {modality: str(path) for modality, path in prediction.patient.images.items()},
        "outputs": {name: str(path) for name, path in outputs.items()},
        "model": prediction.model,
        "weights": str(prediction.weights),
        "weights_sha256": prediction.weights_sha256,
        "flips": prediction.flips,
        "threshold": THRESHOLD,
        "label_scheme": prediction.scheme.name,
        "labels": parts_of(prediction.scheme),
        "shape": list(prediction.labels.shape),
        "spacing_mm": list(prediction.image.spacing),
        "regions": {name: found[name] for name in REGIONS},
        "parts": {name: found[name] for name in parts_of(prediction.scheme)},
        "outside": prediction.outside(),
        "warnings": list(prediction.warnings),
        "notice": NOTICE,
    }


def as_text(prediction: Prediction) -> str:
    """The report as a person reads it."""
    found = prediction.measured()
    parts = parts_of(prediction.scheme)
    names = {**REGIONS, **{part: f"label {label}" for part, label in parts.items()}}
    rows = [f"{'':<10}  {'':<16}  {'ml':>8}  centre (R, A, S in mm)"]
    rows += [f"{name:<10}  {what:<16}  {found[name].ml:>8.2f}  {_centre(found[name])}" for name, what in names.items()]
    apart = [f"{count} voxels of {what}" for what, count in prediction.outside().items() if count]
    grid = " x ".join(map(str, prediction.labels.shape))
    spacing = " x ".join(f"{mm:.3g}" for mm in prediction.image.spacing)
    return "\n".join(
        [
            f"{prediction.patient.name}: {grid} voxels of {spacing} mm, labels of {prediction.scheme.name}",
            f"model {prediction.model}, {prediction.weights.name}, SHA-256 {prediction.weights_sha256}",
            "",
            *rows,
            "",
            *([f"Painted as the innermost region: {', '.join(apart)}."] if apart else []),
            *(f"warning: {sentence}" for sentence in prediction.warnings),
            NOTICE,
        ]
    )


def _centre(found: Measured) -> str:
    return ", ".join(f"{mm:.1f}" for mm in found.centre_mm) if found.centre_mm else "empty"
