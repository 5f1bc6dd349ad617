"""What is wrong or odd about one case, as pure functions of its facts."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedmed.core.errors import counted
from fedmed.data.audit.case_facts import CaseFacts, ImageFacts
from fedmed.data.audit.finding import Finding
from fedmed.data.image_file import SAME_PLACE_MM, SAME_SPACING

LOADABLE_MM = 1e-8
"""How far the affines of a case's images may differ: MONAI stacks them only if numpy calls their affines close."""

LEAST_EXTENT_MM = 10
"""A volume that is shorter along an axis shows no organ: its spacing is wrong."""

LEAST_BACKGROUND = 0.1
"""A skull-stripped volume has at least this share of voxels at 0; those of BraTS have about 0.85."""

MOST_HEAD_ML = 2500
"""More tissue than this is no brain without its skull; the largest adult brains have about 2 litres."""

NEARLY_CONSTANT = 0.001
"""Standard deviation of the voxels other than 0, as a share of their mean size."""

FAR_BRIGHTER = 1000
"""A voxel so many times as large as the 99th percentile is a fault in the file, and decides how all are scaled."""

UNLIKE_MASKS = 0.05
"""Share of the brain that one modality may lack."""

MUCH_OUTSIDE, MOSTLY_OUTSIDE = 0.01, 0.5
"""Shares of the tumour outside the brain that make a warning and an error: masks differ a little, cases wholly."""


@dataclass(frozen=True)
class Rules:
    """What a task expects of a case.

    ``dimensions`` is 3 for volumes and 2 for pictures. ``labels`` are the values that a segmentation may hold under
    the ``scheme`` of that name; None where a case has no segmentation. ``told_by_name`` gives the modality that a
    file's name states, ``label`` for a segmentation, and None for a name that states none.
    """

    modalities: tuple[str, ...]
    dimensions: int = 3
    labels: tuple[int, ...] | None = None
    scheme: str = ""
    skull_stripped: bool = False
    told_by_name: Callable[[str], str | None] = lambda name: None


def case_findings(
    name: str, images: Mapping[str, Path], label: Path | None, facts: CaseFacts, rules: Rules
) -> Iterator[Finding]:
    """Everything about one case; ``name`` is how people know it."""
    files = {modality: (path, facts.images[modality]) for modality, path in images.items()}
    every = [*files.values(), *([(label, facts.label_file)] if label and facts.label_file else [])]
    odd = [file for file in every if file[1].dimensions != rules.dimensions]
    if odd:
        yield from (_dimensions(path, image, rules.dimensions) for path, image in odd)
        return  # nothing else can be compared
    for path, image in files.values():
        yield from _finite(path, image)
        yield from _constant(path, image)
        yield from _far_brighter(path, image)
        if rules.skull_stripped:
            yield from _background(path, image)
    yield from _misplaced(images, label, rules)
    if rules.dimensions == 3:
        for path, image in every:
            yield from _extent(path, image)
        yield from _grids(files, label, facts.label_file)
    yield from _same_twice(name, files)
    if rules.skull_stripped:
        yield from _masks(name, facts)
    if label is not None:
        yield from _segmentation(label, facts, rules)


def _error(check: str, sentence: str) -> Finding:
    return Finding("error", check, sentence)


def _warning(check: str, sentence: str) -> Finding:
    return Finding("warning", check, sentence)


def _dimensions(path: Path, image: ImageFacts, expected: int) -> Finding:
    what = "a 3D volume: split it into one file a modality" if expected == 3 else "a 2D image: export single slices"
    return _error("dimensions", f"{path} has {image.dimensions} dimensions {image.shape}; expected {what}.")


def _finite(path: Path, image: ImageFacts) -> Iterator[Finding]:
    if image.not_finite:
        yield _error(
            "finite",
            f"{path} holds {_not_finite(image)} as float32; set {'it' if image.not_finite == 1 else 'them'} to 0 or "
            "export again.",
        )


def _not_finite(image: ImageFacts) -> str:
    verb = "is" if image.not_finite == 1 else "are"
    return f"{counted(image.not_finite, 'voxel')} that {verb} NaN or infinite"


def _far_brighter(path: Path, image: ImageFacts) -> Iterator[Finding]:
    found = image.intensities
    if found is None or image.not_finite:
        return
    most, usual = max(abs(found.minimum), abs(found.maximum)), max(abs(found.p1), abs(found.p99))
    if most > FAR_BRIGHTER * usual:
        yield _warning(
            "far brighter",
            f"{path} has values up to {most:.3g}, but 98% of its voxels other than 0 are at most {usual:.3g}; "
            "look whether single voxels are wrong, and set those to 0.",
        )


def _misplaced(images: Mapping[str, Path], label: Path | None, rules: Rules) -> Iterator[Finding]:
    """Files whose names say that they are something else than what the list takes them for."""
    for place, path in {**images, **({"label": label} if label else {})}.items():
        told = rules.told_by_name(path.name)
        if told not in (None, place):
            yield _error(
                "modality",
                f"{path} is listed as {place}, but its name says {told}; correct the list, whose images are expected "
                f"in the order {', '.join(rules.modalities)}.",
            )


def _extent(path: Path, image: ImageFacts) -> Iterator[Finding]:
    """Of the whole volume: phantoms are small, and a spacing in metres is a thousand times as small."""
    extents = [n * mm for n, mm in zip(image.shape, image.spacing, strict=True)]
    if min(extents) < LEAST_EXTENT_MM:
        yield _error(
            "extent",
            f"{path} is {' x '.join(f'{extent:.3g}' for extent in extents)} mm in all; expected at least "
            f"{LEAST_EXTENT_MM} mm along each axis: correct the spacing in its header, which is in mm.",
        )


def _constant(path: Path, image: ImageFacts) -> Iterator[Finding]:
    found = image.intensities
    if image.not_finite:
        return  # told already
    if found is None or (found.different == 1 and not image.zeros):
        value = "0" if found is None else f"{found.median:g}"
        yield _error("constant", f"{path} is {value} everywhere; expected an image: export it again.")
    elif found.std <= NEARLY_CONSTANT * max(abs(found.mean), abs(found.p99)):
        yield _warning(
            "constant",
            f"{path} is nearly constant: its voxels other than 0 are {found.mean:g} with a standard deviation of "
            f"{found.std:g}; look whether it is an image.",
        )


def _background(path: Path, image: ImageFacts) -> Iterator[Finding]:
    if image.intensities is None or image.intensities.different == 1:
        return  # told already
    share = 1 - image.tissue / image.voxels
    tissue_ml = image.tissue * (image.voxel_ml or 0)
    if share < LEAST_BACKGROUND:
        found = f"only {share:.0%} of its voxels are 0"
    elif tissue_ml > MOST_HEAD_ML:
        found = f"{tissue_ml:.0f} ml of it are not 0, more than a brain"
    else:
        return
    yield _warning(
        "background", f"{path} seems not to be skull-stripped: {found}; expected 0 outside the brain: strip the skull."
    )


def _grids(
    files: Mapping[str, tuple[Path, ImageFacts]], label: Path | None, label_file: ImageFacts | None
) -> Iterator[Finding]:
    """Same voxels in the same places: of two volumes of one shape, one may still be flipped against the other."""
    (first_path, first), *others = files.values()
    for path, image in others:
        yield from _grid(path, image, first_path, first, LOADABLE_MM)
    if label is not None and label_file is not None:
        yield from _grid(label, label_file, first_path, first, SAME_PLACE_MM)


def _grid(path: Path, image: ImageFacts, other_path: Path, other: ImageFacts, tolerance_mm: float) -> Iterator[Finding]:
    remedy = "the images and the label of a case must be resampled to one grid."
    if image.shape != other.shape:
        yield _error("grid", f"{path} is {image.shape} voxels, but {other_path} is {other.shape}; {remedy}")
        return
    same_spacing = np.allclose(image.spacing, other.spacing, rtol=SAME_SPACING)
    if not (same_spacing and np.allclose(image.affine, other.affine, atol=tolerance_mm)):
        how = _difference(image, other)
        if same_spacing and np.allclose(image.affine, other.affine, atol=SAME_PLACE_MM):
            remedy = "that is rounding, but images with different affines are not loaded: copy the header of one."
        yield _error("grid", f"{path} lies otherwise in space than {other_path}: affines differ ({how}); {remedy}")


def _difference(image: ImageFacts, other: ImageFacts) -> str:
    for what, one, two in (
        ("orientation", image.orientation, other.orientation),
        ("spacing in mm", _zooms(image), _zooms(other)),
    ):
        if one != two:
            return f"{what} {one} against {two}"
    return f"by up to {np.abs(np.subtract(image.affine, other.affine)).max():.3g}"


def _zooms(image: ImageFacts) -> str:
    return " x ".join(f"{zoom:.3g}" for zoom in image.spacing)


def _same_twice(name: str, files: Mapping[str, tuple[Path, ImageFacts]]) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for modality, (_, image) in files.items():
        twin = seen.setdefault(image.fingerprint, modality) if image.fingerprint else modality
        if twin != modality:
            yield _warning(
                "duplicate", f"{name}: {twin} and {modality} are the same image; put the right file in place of one."
            )


def _masks(name: str, facts: CaseFacts) -> Iterator[Finding]:
    empty = any(image.intensities is None for image in facts.images.values())  # told already
    if facts.unlike_masks > UNLIKE_MASKS and not empty:
        yield _warning(
            "masks",
            f"{name}: one modality is 0 in {facts.unlike_masks:.0%} of the voxels where another has tissue; "
            "expected one brain mask: look whether all are co-registered and stripped alike.",
        )


def _segmentation(path: Path, facts: CaseFacts, rules: Rules) -> Iterator[Finding]:
    assert facts.label is not None
    wrong = _label_values(path, facts, rules)
    if wrong:
        yield wrong
        return
    tumour = sum(count for value, count in facts.label.counts.items() if value != "0")
    if not tumour:
        yield _warning("empty tumour", f"{path} holds no tumour at all; look whether that is so.")
    elif facts.label.outside is not None and facts.label.outside > MUCH_OUTSIDE * tumour:
        share = facts.label.outside / tumour
        level = _error if share > MOSTLY_OUTSIDE else _warning
        yield level(
            "tumour outside",
            f"{path}: {share:.0%} of the tumour lies outside the brain, where every image is 0; "
            "look whether the label is of another case or flipped.",
        )


def _label_values(path: Path, facts: CaseFacts, rules: Rules) -> Finding | None:
    """What a segmentation holds that is no label."""
    assert facts.label is not None
    if facts.label_file is not None and facts.label_file.not_finite:
        found = _not_finite(facts.label_file)
        return _error("label values", f"{path} holds {found}; give each its label, or export it again.")
    if rules.labels is None:
        return None
    outside = [value for value in facts.label.counts if value not in set(map(str, rules.labels))]
    if not outside:
        return None
    shown = ", ".join(outside[:8]) + (", ..." if len(outside) > 8 else "")
    return _error(
        "label values",
        f"{path} holds the label values {shown}, which {rules.scheme or 'the task'} does not know (it has "
        f"{', '.join(map(str, rules.labels))}); state the right label_scheme in the list or correct the file.",
    )
