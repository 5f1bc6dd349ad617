"""The report on classified images: as text for the screen, and as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.analysis.prediction.image_prediction import ImagePrediction
from fedmed.analysis.prediction.origin import NOTICE, model_warnings, weights_digest

UNIT = "image"
"""Each image stands for itself, and not for the patient that it is of."""

MOST_CLASSES = 8
"""Classes that the table on the screen has a column for; of more it shows the decision alone."""


def images_document(
    model: TrainedModel, found: Sequence[ImagePrediction], pictures: Mapping[Path, Path]
) -> dict[str, Any]:
    """The whole report as JSON values.

    Args:
        pictures: the saliency picture of each image, by the image; empty where none are made.
    """
    classes = model.task.TARGETS
    return {
        "unit": UNIT,
        "model": model.label,
        "task": model.task.name,
        "weights": str(model.weights),
        "weights_sha256": weights_digest(model),
        "classes": list(classes),
        "images": [
            {
                "image": str(each.path),
                "sha256": each.sha256,
                "predicted": classes[each.decided],
                "confidence": each.confidence,
                "probabilities": dict(zip(classes, each.probabilities, strict=True)),
                "saliency": str(pictures[each.path]) if each.path in pictures else None,
            }
            for each in found
        ],
        "warnings": [*model_warnings(model), *image_warnings(found)],
        "notice": NOTICE,
    }


def images_text(model: TrainedModel, found: Sequence[ImagePrediction]) -> str:
    """The report as a person reads it: a row an image."""
    classes = model.task.TARGETS
    columns = classes if len(classes) <= MOST_CLASSES else ()
    rows = [
        {
            "image": each.path.name,
            "class": classes[each.decided],
            "confidence": f"{each.confidence:.3f}",
            **{name: f"{each.probabilities[number]:.3f}" for number, name in enumerate(columns)},
        }
        for each in found
    ]
    return "\n".join(
        [
            f"model {model.label}, {model.weights.name}, SHA-256 {weights_digest(model)}",
            "",
            pd.DataFrame(rows).to_string(index=False),
            "",
            *(f"warning: {sentence}" for sentence in (*model_warnings(model), *image_warnings(found))),
            NOTICE,
        ]
    )


def image_warnings(found: Sequence[ImagePrediction]) -> list[str]:
    """The sentences on images that seem not to be as the model's are."""
    return [sentence for each in found for sentence in each.warnings]
