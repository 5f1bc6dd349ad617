"""The figures of one target in a patient's slices: over the volume, by slice, and where it is present.

``slice_metrics`` makes the rows.
"""

from collections.abc import Sequence

from fedmed.tasks.scoring.classification_metrics import SCORE, TRUTH, auroc, weighted_auroc
from fedmed.tasks.scoring.metric import DrawnFigures, Metric, Row, RowsMetric

LONGEST_PIXELS = 1e5
"""No slice is as large as that."""


def presence_auroc(rows: Sequence[Row]) -> float:
    """The area under the ROC curve of the target's presence over all slices of all cases, each slice a target of rows.

    NaN where every slice has the target, or none has.
    """
    return auroc(_of_one_target(rows))


def weighted_presence_auroc(rows: Sequence[Row]) -> DrawnFigures:
    """:func:`presence_auroc` of many draws of the rows. As :func:`weighted_auroc`; a slice's rows have one weight."""
    return weighted_auroc(_of_one_target(rows))


def _of_one_target(rows: Sequence[Row]) -> list[Row]:
    """The rows of slices as those of as many cases of one target."""
    return [row._replace(case=f"{row.target} of {row.case}", target="") for row in rows]


SLICE_METRICS = (
    Metric("dice", "Dice", "", "higher"),
    Metric("slice_dice", "Dice by slice", "", "higher"),
    RowsMetric(
        *("presence_auroc", "AUROC of presence by slice", "", "higher", (SCORE, TRUTH)),
        by_target=False,
        figure=presence_auroc,
        weighted=weighted_presence_auroc,
    ),
    Metric("slice_hd95", "HD95 by slice", "pixels", "lower", bounds=(0.0, LONGEST_PIXELS)),
)
"""Of slices in which a target is segmented, the best model by the Dice over the volume."""

SLICE_NOTES = (
    "Dice is that of a patient's whole volume, without a value where the truth is empty.",
    "Dice by slice is a patient's mean over the slices that have tumour in the truth or in the prediction.",
    "AUROC of presence tells slices with tumour from those without by the highest probability in the slice, over the "
    "slices of all patients.",
    "HD95 by slice is a patient's mean over the slices whose truth has tumour, in pixels of the prepared slice and in "
    "its plane alone, as nothing states the distance of slices; one that is missed counts as the slice's diagonal.",
)
"""The rules of :data:`SLICE_METRICS`, for the end of a table."""
