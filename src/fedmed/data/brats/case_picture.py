"""The picture of some cases: their four modalities and the label, a row each, through the tumour's largest slice."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedmed.core.errors import InputError
from fedmed.data.brats.brats_layout import MODALITIES, CaseFiles, institution_of, label_scheme
from fedmed.data.image_file import read_image
from fedmed.data.planes import drawable, seen
from fedmed.data.volumes import canonical

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = {"necrosis": "#0072b2", "oedema": "#e69f00", "enhancing": "#d55e00"}
"""Colours of Okabe and Ito, which the colour-blind tell apart."""

FORMATS = (".png", ".svg", ".pdf")
"""Endings of the files that can be written."""

DRAWN = 2
"""Cases in a picture of which none is named."""


def chosen_cases(cases: Sequence[CaseFiles], names: Sequence[str] | None) -> list[CaseFiles]:
    """The named cases in the order of the names; without names, the first case of each of the first institutions.

    Where names of cases state no institution, each case counts as of its own.

    Raises:
        InputError: no case has one of the names.
    """
    if names is None:
        of_institutions = {institution_of(case.name) or case.name: case for case in reversed(cases)}
        return sorted(of_institutions.values(), key=lambda case: case.name)[:DRAWN]
    found = {case.name: case for case in cases}
    missing = [name for name in names if name not in found]
    if missing:
        raise InputError(
            f"There is no case {', '.join(missing)} among {len(found)} such as {cases[0].name}; give names of cases."
        )
    return [found[name] for name in names]


def picture_format(path: Path) -> str:
    """The format that the name of a picture states.

    Raises:
        InputError: it is none that is written here.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise InputError(f"{path} ends in {ending or 'nothing'}; expected {', '.join(FORMATS)}: give it such a name.")
    return ending[1:]


def case_picture(cases: Sequence[CaseFiles], caption: str, format: str = "png") -> bytes:
    """A picture with a row a case; needs no screen.

    Slices are axial, seen from the feet as radiologists do: the front is up, the patient's left is on the right. Every
    image runs from 0 to the value that 0.5 % of its voxels above 0 exceed.

    Args:
        cases: at least one.
        caption: what the figure was made of, printed under it.
        format: ``png``, ``svg`` or ``pdf``.

    Raises:
        InputError: a file cannot be read, is not 3D, or of another size than the label.
    """
    columns = (*MODALITIES, "label")
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(1.9 * len(columns), 2.25 * len(cases) + 0.7), layout="constrained")
    axes = figure.subplots(len(cases), len(columns), squeeze=False)
    shapes = {_row(row, case) for row, case in zip(axes, cases, strict=True)}
    for each, title in zip(axes[0], columns, strict=True):
        each.set_title(title, fontsize=10)
    figure.legend(
        handles=[Patch(color=colour, label=part) for part, colour in PARTS.items()],
        loc="outside upper center", ncols=len(PARTS), fontsize=9, frameon=False,
    )  # fmt: skip
    voxels = ", ".join("x".join(map(str, shape)) for shape in sorted(shapes))
    patients = len({case.patient for case in cases})
    who = f"{caption}; {patients} different patients" if patients > 1 else caption
    text = drawable(f"{who}, {voxels} voxels, axial slices")
    figure.supxlabel(text, fontsize=8, color="0.35", parse_math=False)
    buffer = BytesIO()
    figure.savefig(buffer, format=format, dpi=110)
    return buffer.getvalue()


def _row(axes: Sequence[Axes], case: CaseFiles) -> tuple[int, ...]:
    """Draw one case and return its size in voxels."""
    label = _volume(case.label)
    images = [_volume(path) for path in case.image]
    for path, image in zip(case.image, images, strict=True):
        if image.shape != label.shape:
            raise InputError(
                f"{path} is {image.shape} voxels along the patient's axes, but {case.label} is {label.shape}; expected "
                "one size: they must be resampled to one grid."
            )
    slice_ = int((label > 0).sum(axis=(0, 1)).argmax())
    for each, image in zip(axes, images, strict=False):
        inside = image[(image > 0) & np.isfinite(image)]
        brightest = float(np.percentile(inside, 99.5)) if inside.size else 1.0
        each.imshow(seen(image, 2, slice_), cmap="gray", vmin=0, vmax=brightest)
    axes[-1].imshow(seen(images[-1], 2, slice_), cmap="gray", alpha=0.5)
    for value, colour in zip((1, 2, label_scheme(case.scheme).enhancing), PARTS.values(), strict=True):
        _paint(axes[-1], seen(label, 2, slice_) == value, colour)
    for each in axes:
        each.set(xticks=[], yticks=[])
        each.set_facecolor("black")
    axes[0].set_ylabel(drawable(case.name), fontsize=7, parse_math=False)
    return label.shape


def _paint(axes: Axes, where: NDArray[np.bool_], colour: str) -> None:
    from matplotlib.colors import to_rgba

    painted = np.zeros((*where.shape, 4))
    painted[where] = to_rgba(colour, 0.9)
    axes.imshow(painted)


def _volume(path: Path) -> NDArray[np.float32]:
    """The voxels, with axes to the right, to the front and up."""
    image = read_image(path)
    if image.dimensions != 3:
        raise InputError(f"{path} has {image.dimensions} dimensions; expected a 3D volume: export it again.")
    return canonical(image)[0]
