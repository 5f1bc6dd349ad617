"""The metrics of segmentation by name, title, unit and direction; ``segmentation_metrics`` computes them."""

from fedmed.tasks.scoring.metric import Metric

LONGEST_MM, MOST_LESIONS, MOST_ML = 1e5, 1e6, 1e6
"""No image is as large as that."""

_DISTANCE, _COUNT, _VOLUME = (0.0, LONGEST_MM), (0.0, MOST_LESIONS), (0.0, MOST_ML)

SEGMENTATION_METRICS = (
    Metric("dice", "Dice", "", "higher"),
    Metric("challenge_dice", "Dice, challenge's rule", "", "higher"),
    Metric("hd95", "HD95", "mm", "lower", bounds=_DISTANCE),
    Metric("challenge_hd95", "HD95, challenge's rule", "mm", "lower", bounds=_DISTANCE),
    Metric("surface_dice", "surface Dice at 1 mm", "", "higher"),
    Metric("challenge_surface_dice", "surface Dice at 1 mm, challenge's rule", "", "higher"),
    Metric("lesion_dice", "lesion-wise Dice", "", "higher"),
    Metric("lesion_hd95", "lesion-wise HD95", "mm", "lower", bounds=_DISTANCE),
    Metric("lesions", "lesions", "", "", bounds=_COUNT),
    Metric("lesions_missed", "lesions missed", "", "lower", bounds=_COUNT),
    Metric("lesions_false", "false lesions", "", "lower", bounds=_COUNT),
    Metric("volume", "volume", "ml", "", bounds=_VOLUME),
    Metric("predicted_volume", "predicted volume", "ml", "", bounds=_VOLUME),
    Metric("volume_error", "volume error", "ml", "", bounds=(-MOST_ML, MOST_ML)),
    Metric("absolute_volume_error", "absolute volume error", "ml", "lower", bounds=_VOLUME),
)

ORGAN_METRICS = tuple(
    metric
    for metric in SEGMENTATION_METRICS
    if metric.name in ("dice", "hd95", "surface_dice") or metric.name.endswith(("volume", "volume_error"))
)
"""Those of targets of which every patient has exactly one: no counts of lesions, and no rule for an absent target."""

SEGMENTATION_NOTE = (
    "Dice, HD95 and surface Dice by the published rule have no value where the truth is empty; by the challenge's rule "
    "an empty region is perfect if the prediction is empty too, and a miss if not."
)
