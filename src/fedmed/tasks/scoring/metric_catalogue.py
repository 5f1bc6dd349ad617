"""The metrics of segmentation by name, title, unit and direction; ``segmentation_metrics`` computes them."""

from fedmed.tasks.scoring.metric import Metric

SEGMENTATION_METRICS = (
    Metric("dice", "Dice", "", "higher"),
    Metric("challenge_dice", "Dice, challenge's rule", "", "higher"),
    Metric("hd95", "HD95", "mm", "lower"),
    Metric("challenge_hd95", "HD95, challenge's rule", "mm", "lower"),
    Metric("surface_dice", "surface Dice at 1 mm", "", "higher"),
    Metric("challenge_surface_dice", "surface Dice at 1 mm, challenge's rule", "", "higher"),
    Metric("lesion_dice", "lesion-wise Dice", "", "higher"),
    Metric("lesion_hd95", "lesion-wise HD95", "mm", "lower"),
    Metric("lesions", "lesions", "", ""),
    Metric("lesions_missed", "lesions missed", "", "lower"),
    Metric("lesions_false", "false lesions", "", "lower"),
    Metric("volume", "volume", "ml", ""),
    Metric("predicted_volume", "predicted volume", "ml", ""),
    Metric("volume_error", "volume error", "ml", ""),
    Metric("absolute_volume_error", "absolute volume error", "ml", "lower"),
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
