"""The checks of BraTS cases alone: skull-stripped volumes, one brain mask, and a tumour that lies inside it."""

from collections.abc import Iterator
from pathlib import Path

from fedmed.data.audit.case_facts import ImageFacts
from fedmed.data.audit.case_findings import MeasuredCase, error_finding, warning_finding
from fedmed.data.audit.finding import Finding

LEAST_BACKGROUND = 0.1
"""A skull-stripped volume has at least this share of voxels at 0; those of BraTS have about 0.85."""

MOST_HEAD_ML = 2500
"""More tissue than this is no brain without its skull; the largest adult brains have about 2 litres."""

UNLIKE_MASKS = 0.05
"""Share of the brain that one modality may lack."""

MUCH_OUTSIDE, MOSTLY_OUTSIDE = 0.01, 0.5
"""Shares of the tumour outside the brain that make a warning and an error: masks differ a little, cases wholly."""


def skull_stripped(case: MeasuredCase) -> Iterator[Finding]:
    """A warning for each volume that still shows the skull."""
    for modality, path in case.images.items():
        yield from _background(path, case.facts.images[modality])


def one_brain_mask(case: MeasuredCase) -> Iterator[Finding]:
    """A warning where one modality lacks tissue that another has."""
    empty = any(image.intensities is None for image in case.facts.images.values())  # another finding
    if case.facts.unlike_masks > UNLIKE_MASKS and not empty:
        yield warning_finding(
            "masks",
            f"{case.name}: one modality is 0 in {case.facts.unlike_masks:.0%} of the voxels where another has tissue; "
            "expected one brain mask: look whether all are co-registered and stripped alike.",
        )


def tumour_in_brain(case: MeasuredCase) -> Iterator[Finding]:
    """A finding where the tumour lies outside the brain: a warning for a part of it, an error for most of it."""
    label = case.facts.label
    if label is None or not label.outside or label.outside <= MUCH_OUTSIDE * label.foreground:
        return
    share = label.outside / label.foreground
    level = error_finding if share > MOSTLY_OUTSIDE else warning_finding
    yield level(
        "tumour outside",
        f"{case.label}: {share:.0%} of the tumour lies outside the brain, where every image is 0; "
        "look whether the label is of another case or flipped.",
    )


def _background(path: Path, image: ImageFacts) -> Iterator[Finding]:
    if image.intensities is None or image.intensities.different == 1:
        return  # another finding
    share = 1 - image.tissue / image.voxels
    tissue_ml = image.tissue * (image.voxel_ml or 0)
    if share < LEAST_BACKGROUND:
        found = f"only {share:.0%} of its voxels are 0"
    elif tissue_ml > MOST_HEAD_ML:
        found = f"{tissue_ml:.0f} ml of it are not 0, more than a brain"
    else:
        return
    yield warning_finding(
        "background", f"{path} seems not to be skull-stripped: {found}; expected 0 outside the brain: strip the skull."
    )
