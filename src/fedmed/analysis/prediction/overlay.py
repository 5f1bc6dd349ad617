"""The picture of a segmentation: three planes through the tumour, on the t1ce and on the flair."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from fedmed.analysis.prediction.measures import parts_of
from fedmed.analysis.prediction.origin import NOTICE
from fedmed.analysis.prediction.prediction_report import Prediction
from fedmed.data.brats.case_picture import PARTS
from fedmed.data.image_file import ImageFile, read_image
from fedmed.data.planes import PLANES, Plane, add_letters, drawable, largest_slice, seen
from fedmed.data.volumes import canonical

MODALITIES_SHOWN = ("t1ce", "flair")
LABEL_OPACITY = 0.45
BOX_MARGIN = 0.06
"""Around the brain, as a share of its size."""


def overlay(prediction: Prediction, format: str = "png") -> bytes:
    """The picture in one of matplotlib's formats; needs no screen.

    Each plane goes through the slice with most of the tumour, or through the middle of the brain where there is none.
    Its letters are those of the nearest directions where the voxels lie oblique. An image runs from 0 to the value that
    0.5 % of its voxels above 0 exceed.
    """
    labels, spacing = canonical(ImageFile(prediction.labels, 3, prediction.image.affine))
    images = {modality: canonical(read_image(prediction.patient.images[modality]))[0] for modality in MODALITIES_SHOWN}
    box = box_around(np.logical_or.reduce([labels != 0, *(image != 0 for image in images.values())]))
    painted = _colours(labels[box], prediction)
    figure = Figure(figsize=(9.6, 7.2), layout="constrained", facecolor="black")
    axes = figure.subplots(len(MODALITIES_SHOWN), len(PLANES), squeeze=False)
    for row, (modality, image) in zip(axes, images.items(), strict=True):
        for each, plane in zip(row, PLANES, strict=True):
            place, first, of = largest_slice(labels[box], plane.axis), box[plane.axis].start, labels.shape[plane.axis]
            _draw(each, image[box], painted, plane, place, spacing)
            each.set_title(f"{modality}, {plane.name} {first + place + 1} of {of}", color="w", fontsize=9)
    _legend(figure, prediction)
    buffer = BytesIO()
    figure.savefig(buffer, format=format, dpi=120)
    return buffer.getvalue()


def box_around(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box that holds every True of a mask that has one, and ``BOX_MARGIN`` of its edges around it."""
    ends = [(int(found.min()), int(found.max()) + 1) for found in mask.nonzero()]
    margins = [round(BOX_MARGIN * (last - first)) for first, last in ends]
    return tuple(
        slice(max(0, first - margin), last + margin) for (first, last), margin in zip(ends, margins, strict=True)
    )


def _colours(labels: NDArray[np.float32], prediction: Prediction) -> NDArray[np.float32]:
    """Labels (X, Y, Z) as RGBA (X, Y, Z, 4); 0 is transparent."""
    painted = np.zeros((*labels.shape, 4), np.float32)
    for part, label in parts_of(prediction.scheme).items():
        painted[labels == label] = to_rgba(PARTS[part], LABEL_OPACITY)
    return painted


def _draw(
    axes: Axes,
    image: NDArray[np.float32],
    painted: NDArray[np.float32],
    plane: Plane,
    place: int,
    spacing: Sequence[float],
) -> None:
    inside = image[image > 0]
    brightest = float(np.percentile(inside, 99.5)) if inside.size else 1.0
    column_mm, row_mm = (mm for axis, mm in enumerate(spacing) if axis != plane.axis)
    aspect = row_mm / column_mm
    axes.imshow(seen(image, plane.axis, place), cmap="gray", vmin=0, vmax=brightest, aspect=aspect)
    axes.imshow(seen(painted, plane.axis, place), aspect=aspect, interpolation="nearest")
    add_letters(axes, plane)


def _legend(figure: Figure, prediction: Prediction) -> None:
    found = prediction.measured()
    handles = [Patch(color=colour, label=f"{part} {found[part].ml:.1f} ml") for part, colour in PARTS.items()]
    figure.legend(
        handles=handles, loc="outside upper center", ncols=len(handles), fontsize=9, frameon=False, labelcolor="w"
    )
    nothing = "" if found["WT"].voxels else ": no tumour found"
    caption = f"{prediction.patient.name}{nothing}; model {prediction.model}, {prediction.weights.name}"
    caption = "\n".join((caption, *prediction.warnings, NOTICE))
    figure.supxlabel(drawable(caption), fontsize=8, color="0.7", parse_math=False)
