"""The report on images that may show several findings: as text for the screen, and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fedmed.analysis.evaluation.decision_thresholds import DecisionThresholds
from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.analysis.prediction.image_prediction import ImagePrediction
from fedmed.analysis.prediction.image_report import UNIT, image_warnings
from fedmed.analysis.prediction.origin import NOTICE, model_warnings, weights_digest

MOST_TABLES = 3
"""Images of which the screen shows every finding; of more it shows a row each."""

MOST_MAPS = 3
"""Findings above their thresholds of which a picture shows the places."""


def mapped_findings(found: ImagePrediction, thresholds: DecisionThresholds, asked: Sequence[int]) -> tuple[int, ...]:
    """The numbers of the findings whose places a picture shows: those asked for, else those above their thresholds,
    else the most probable one."""
    return tuple(asked) or thresholds.present(found.probabilities)[:MOST_MAPS] or (found.decided,)


def findings_document(
    model: TrainedModel,
    thresholds: DecisionThresholds,
    asked: Sequence[int],
    found: Sequence[ImagePrediction],
    pictures: Mapping[Path, Path],
) -> dict[str, Any]:
    """The whole report as JSON values.

    Args:
        asked: the numbers of the findings of which pictures were asked for.
        pictures: the picture of each image, by the image; empty where none are made.
    """
    targets = model.task.TARGETS
    known = thresholds.file is not None
    return {
        "unit": UNIT,
        "model": model.label,
        "task": model.task.name,
        "weights": str(model.weights),
        "weights_sha256": weights_digest(model),
        "findings": list(targets),
        "thresholds": dict(zip(targets, thresholds.values, strict=True)) if known else None,
        "thresholds_file": str(thresholds.file) if known else None,
        "images": [
            {
                "image": str(each.path),
                "sha256": each.sha256,
                "probabilities": dict(zip(targets, each.probabilities, strict=True)),
                "present": [targets[n] for n in thresholds.present(each.probabilities)] if known else None,
                "saliency": str(pictures[each.path]) if each.path in pictures else None,
                "saliency_of": [targets[n] for n in mapped_findings(each, thresholds, asked)]
                if each.path in pictures
                else [],
                "warnings": list(each.warnings),
            }
            for each in found
        ],
        "rule": thresholds.words,
        "warnings": [*model_warnings(model), *image_warnings(found)],
        "notice": NOTICE,
    }


def findings_text(model: TrainedModel, thresholds: DecisionThresholds, found: Sequence[ImagePrediction]) -> str:
    """The report as a person reads it: a row a finding of few images, or a row an image of many."""
    few = len(found) <= MOST_TABLES
    tables = [_table(model, thresholds, each) for each in found] if few else [_rows(model, thresholds, found)]
    warnings = (*model_warnings(model), *image_warnings(found))
    return "\n".join(
        [
            f"model {model.label}, {model.weights.name}, SHA-256 {weights_digest(model)}",
            *(f"\n{table}" for table in tables),
            "",
            thresholds.words,
            *_undecided(model, thresholds),
            *(f"warning: {sentence}" for sentence in warnings),
            NOTICE,
        ]
    )


def _table(model: TrainedModel, thresholds: DecisionThresholds, each: ImagePrediction) -> str:
    """The findings of one image under its name."""
    present = thresholds.present(each.probabilities)
    rows = [
        {
            "finding": name,
            "probability": f"{probability:.3f}",
            "threshold": "-" if threshold is None else f"{threshold:.3f}",
            "present": "-" if threshold is None else "yes" if number in present else "no",
        }
        for number, (name, probability, threshold) in enumerate(
            zip(model.task.TARGETS, each.probabilities, thresholds.values, strict=True)
        )
    ]
    return f"{each.path.name}\n{pd.DataFrame(rows).to_string(index=False)}"


def _rows(model: TrainedModel, thresholds: DecisionThresholds, found: Sequence[ImagePrediction]) -> str:
    """A row an image: the findings that it shows, else the most probable one."""
    rows = [("image", "most probable", "present")]
    rows += [
        (each.path.name, _with_probability(model, each, each.decided), _present(model, thresholds, each))
        for each in found
    ]
    first, second = (max(len(row[column]) for row in rows) for column in range(2))
    return "\n".join(f"{image:<{first}}  {probable:<{second}}  {present}" for image, probable, present in rows)


def _present(model: TrainedModel, thresholds: DecisionThresholds, each: ImagePrediction) -> str:
    if thresholds.file is None:
        return "-"
    shown = [_with_probability(model, each, number) for number in thresholds.present(each.probabilities)]
    return ", ".join(shown) or "none"


def _with_probability(model: TrainedModel, each: ImagePrediction, number: int) -> str:
    return f"{model.task.TARGETS[number]} {each.probabilities[number]:.3f}"


def _undecided(model: TrainedModel, thresholds: DecisionThresholds) -> Iterator[str]:
    """The findings that alone have no threshold."""
    names = [name for name, value in zip(model.task.TARGETS, thresholds.values, strict=True) if value is None]
    if thresholds.file is not None and names:
        yield f"Without a threshold, so never told: {', '.join(names)}."
