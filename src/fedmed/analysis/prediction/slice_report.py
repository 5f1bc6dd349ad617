"""The report on tumours marked in slices: as text for the screen, and as JSON."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.analysis.prediction.native_grid import THRESHOLD
from fedmed.analysis.prediction.origin import NOTICE, model_warnings, weights_digest
from fedmed.analysis.prediction.slice_prediction import NO_SPACING, SlicePrediction, slice_task


def slices_document(model: TrainedModel, found: Mapping[str, dict[str, Any]], flips: bool) -> dict[str, Any]:
    """The whole report as JSON values.

    Args:
        found: of each patient what :func:`patient_facts` gives, by the name.
    """
    return {
        "unit": "patient",
        "model": model.label,
        "task": model.task.name,
        "weights": str(model.weights),
        "weights_sha256": weights_digest(model),
        "flips": flips,
        "threshold": THRESHOLD,
        "preprocessing": slice_task(model).preparation(),
        "patients": [{"patient": name, **facts} for name, facts in found.items()],
        "warnings": list(model_warnings(model)),
        "notice": NOTICE,
    }


def patient_facts(prediction: SlicePrediction, masks: Sequence[Path], overlay: Path) -> dict[str, Any]:
    """The part of a report that is about one patient.

    Args:
        masks: the file of the mask of each slice, or one for them all.
        overlay: the picture.
    """
    scan, spacing = prediction.scan, prediction.spacing
    highest = prediction.probabilities.max(axis=(1, 2))
    of_slices = list(masks) if len(masks) == len(scan.files) else [*masks] * len(scan.files)
    return {
        "columns_rows_slices": list(prediction.probabilities.shape[::-1]),
        "spacing_mm": None if spacing is None else list(spacing),
        "tumour_ml": prediction.ml,
        "tumour_pixels": sum(prediction.pixels),
        "tumour_slices": sum(map(bool, prediction.pixels)),
        "inputs": {
            channel: [{"file": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in files]
            for channel, files in scan.inputs.items()
        },
        "slices": [
            {
                "slice": str(path),
                "mask": str(mask),
                "tumour_pixels": pixels,
                "highest_probability": float(highest[place]),
            }
            for place, (path, mask, pixels) in enumerate(zip(scan.files, of_slices, prediction.pixels, strict=True))
        ],
        "largest_slice": str(scan.files[prediction.largest]) if sum(prediction.pixels) else None,
        "overlay": str(overlay),
        "notes": [*scan.notes, *([NO_SPACING] if spacing is None else [])],
    }


def slices_text(model: TrainedModel, document: Mapping[str, Any]) -> str:
    """The report as a person reads it: a row a patient, and the notes once each."""
    patients = document["patients"]
    rows = [
        {
            "patient": each["patient"],
            "slices": len(each["slices"]),
            "with tumour": each["tumour_slices"],
            "pixels": each["tumour_pixels"],
            "ml": "not known" if each["tumour_ml"] is None else f"{each['tumour_ml']:.2f}",
        }
        for each in patients
    ]
    notes: dict[str, list[str]] = {}
    for each in patients:
        for note in each["notes"]:
            notes.setdefault(note, []).append(each["patient"])
    return "\n".join(
        [
            f"model {model.label}, {model.weights.name}, SHA-256 {document['weights_sha256']}",
            "",
            pd.DataFrame(rows).to_string(index=False),
            "",
            *(_note(note, names, len(patients)) for note, names in notes.items()),
            *(f"warning: {sentence}" for sentence in document["warnings"]),
            NOTICE,
        ]
    )


def _note(note: str, names: Sequence[str], patients: int) -> str:
    """A note, with whom it is about where that are not all."""
    return note if len(names) == patients else f"{', '.join(names)}: {note}"
