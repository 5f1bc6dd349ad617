"""The findings about one case, as pure functions of its facts.

The checks here are those of any images; a dataset's own stand in its :class:`Rules`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from fedmed.core.errors import InputError, counted
from fedmed.core.units import Unit
from fedmed.data.audit.case_facts import CaseFacts, ImageFacts
from fedmed.data.audit.finding import Finding
from fedmed.data.image_file import SAME_PLACE_MM, SAME_SPACING
from fedmed.data.picture_file import DICOM_ENDINGS
from fedmed.data.targets import Target, class_numbers, shown_target

LOADABLE_MM = 1e-8
"""The most by which the affines of a case's images may differ, so that MONAI stacks them: numpy calls them close."""

LEAST_EXTENT_MM = 10
"""A volume that is shorter along an axis shows no organ: its spacing is wrong."""

NEARLY_CONSTANT = 0.001
"""Standard deviation of the voxels other than 0, as a share of their mean size."""

FAR_BRIGHTER = 1000
"""A voxel so many times as large as the 99th percentile is a fault in the file, and decides how all are scaled."""


@dataclass(frozen=True)
class MeasuredCase:
    """The files of a case with their facts; ``label`` is the file of its segmentation, if its target is one."""

    name: str
    images: Mapping[str, Path]
    label: Path | None
    facts: CaseFacts


Check = Callable[[MeasuredCase], Iterable[Finding]]
"""A check of one case, all of whose files were read."""


@dataclass(frozen=True)
class Rules:
    """The form of a task's cases.

    Attributes:
        modalities: the names of a case's images, in their order.
        dimensions: 3 for volumes, 2 for pictures.
        labels: the values that a segmentation may hold under the ``scheme`` of that name; None without one.
        classes: the names of the classes in the order of the network's outputs; None where targets are files.
        several: whether any number of classes applies to a case, instead of exactly one.
        scheme: the name of the label scheme.
        foreground: the name of what a segmentation shows, for sentences.
        part_in_name: gives the modality that a file's name states, ``label`` for a segmentation, None for neither.
        checks: further checks, the dataset's own.
        unit: whose cases belong together, for sentences.
        case: the word for a case of a list, for sentences.
        whole: False where a case is but a part of a patient's image, so that a segmentation may well be empty.
    """

    modalities: tuple[str, ...]
    dimensions: int = 3
    labels: tuple[int, ...] | None = None
    classes: tuple[str, ...] | None = None
    several: bool = False
    scheme: str = ""
    foreground: str = "foreground"
    part_in_name: Callable[[str], str | None] = lambda name: None
    checks: tuple[Check, ...] = ()
    unit: Unit = "patient"
    case: str = "case"
    whole: bool = True


def case_findings(
    name: str, images: Mapping[str, Path], label: Path | None, facts: CaseFacts, rules: Rules
) -> Iterator[Finding]:
    """Every finding about the files of one case.

    Args:
        name: the case's name.
        images: its image files by modality.
        label: the file of its segmentation; None where there is none, as in a prediction.
        facts: the measurements of these files.
        rules: the form that the task expects.
    """
    case = MeasuredCase(name, images, label, facts)
    odd = [(path, image) for path, image in _measured(case) if image.dimensions != rules.dimensions]
    if odd:
        yield from (_dimensions(path, image, rules.dimensions) for path, image in odd)
        return  # nothing else can be compared
    for path, image in _measured(case)[: len(images)]:
        for check in (_finite, _constant, _far_brighter):
            yield from check(path, image)
    yield from _misplaced(images, label, rules)
    yield from _space(case, rules)
    yield from _same_twice(case)
    yield from chain.from_iterable(check(case) for check in rules.checks)
    if label is not None:
        yield from _segmentation(label, facts, rules)


def target_findings(name: str, target: Target, rules: Rules) -> Iterator[Finding]:
    """A finding where a case's target is not of the form that the task expects."""
    if rules.classes is not None:
        try:
            class_numbers(target, rules.classes, rules.several)
        except InputError as error:
            yield error_finding("target", f"{name}: {error}")
    elif rules.labels is not None and not isinstance(target, Path):
        found = f"the class {shown_target(target)!r}"
        yield error_finding(
            "target", f"{name}: the target is {found}; expected a segmentation's file: correct the list."
        )


def error_finding(check: str, sentence: str) -> Finding:
    """A finding that stops a run."""
    return Finding("error", check, sentence)


def warning_finding(check: str, sentence: str) -> Finding:
    """A finding that is shown and does not stop a run."""
    return Finding("warning", check, sentence)


def _measured(case: MeasuredCase) -> list[tuple[Path, ImageFacts]]:
    """The files of a case with their facts, the images first."""
    files = [(path, case.facts.images[modality]) for modality, path in case.images.items()]
    label_file = case.facts.label_file
    return [*files, (case.label, label_file)] if case.label and label_file else files


def _dimensions(path: Path, image: ImageFacts, expected: int) -> Finding:
    what = "a 3D volume: split it into one file a modality" if expected == 3 else "a 2D image: export single slices"
    if expected == 3 and path.suffix.lower() in DICOM_ENDINGS:
        what = "a NIfTI volume (.nii.gz) a modality: convert the series first, for example with dcm2niix"
    return error_finding("dimensions", f"{path} has {image.dimensions} dimensions {image.shape}; expected {what}.")


def _finite(path: Path, image: ImageFacts) -> Iterator[Finding]:
    if image.not_finite:
        yield error_finding(
            "finite",
            f"{path} holds {_not_finite(image)} as float32; set {'it' if image.not_finite == 1 else 'them'} to 0 or "
            "export again.",
        )


def _not_finite(image: ImageFacts) -> str:
    verb = "is" if image.not_finite == 1 else "are"
    return f"{counted(image.not_finite, image.unit)} that {verb} NaN or infinite"


def _far_brighter(path: Path, image: ImageFacts) -> Iterator[Finding]:
    found = image.intensities
    if found is None or image.not_finite:
        return
    most, usual = max(abs(found.minimum), abs(found.maximum)), max(abs(found.p1), abs(found.p99))
    if most > FAR_BRIGHTER * usual:
        yield warning_finding(
            "far brighter",
            f"{path} has values up to {most:.3g}, but 98% of its {image.unit}s other than 0 are at most {usual:.3g}; "
            f"look whether single {image.unit}s are wrong, and set those to 0.",
        )


def _misplaced(images: Mapping[str, Path], label: Path | None, rules: Rules) -> Iterator[Finding]:
    """Files whose names state another modality than their place in the list."""
    for place, path in {**images, **({"label": label} if label else {})}.items():
        stated = rules.part_in_name(path.name)
        if stated not in (None, place):
            yield error_finding(
                "modality",
                f"{path} is listed as {place}, but its name says {stated}; correct the list, whose images are expected "
                f"in the order {', '.join(rules.modalities)}.",
            )


def _extent(path: Path, image: ImageFacts) -> Iterator[Finding]:
    """Findings on the size of the whole volume: phantoms are small, a spacing in metres makes it a thousandth."""
    extents = [n * mm for n, mm in zip(image.shape, image.spacing, strict=True)]
    if min(extents) < LEAST_EXTENT_MM:
        yield error_finding(
            "extent",
            f"{path} is {' x '.join(f'{extent:.3g}' for extent in extents)} mm in all; expected at least "
            f"{LEAST_EXTENT_MM} mm along each axis: correct the spacing in its header, which is in mm.",
        )


def _constant(path: Path, image: ImageFacts) -> Iterator[Finding]:
    found = image.intensities
    if image.not_finite:
        return  # another finding
    if found is None or (found.different == 1 and not image.zeros):
        value = "0" if found is None else f"{found.median:g}"
        yield error_finding("constant", f"{path} is {value} everywhere; expected an image: export it again.")
    elif found.std <= NEARLY_CONSTANT * max(abs(found.mean), abs(found.p99)):
        yield warning_finding(
            "constant",
            f"{path} is nearly constant: its {image.unit}s other than 0 are {found.mean:g} with a standard deviation "
            f"of {found.std:g}; look whether it is an image.",
        )


def _space(case: MeasuredCase, rules: Rules) -> Iterator[Finding]:
    """The size and the place of volumes; pictures of a case may differ in size, but not one and its mask."""
    (first_path, first), *others = _measured(case)
    if rules.dimensions == 3:
        for path, image in _measured(case):
            yield from _extent(path, image)
    for path, image in others:
        if path == case.label:
            yield from _grid(path, image, first_path, first, SAME_PLACE_MM)
        elif rules.dimensions == 3:
            yield from _grid(path, image, first_path, first, LOADABLE_MM)


def _grid(path: Path, image: ImageFacts, other_path: Path, other: ImageFacts, tolerance_mm: float) -> Iterator[Finding]:
    """Same voxels in the same places: of two volumes of one shape, one may still be flipped against the other."""
    remedy = "the images and the label of a case must be resampled to one grid."
    axes = image.dimensions
    if image.shape[:axes] != other.shape[:axes]:
        found = f"{path} is {image.shape[:axes]} {image.unit}s, but {other_path} is {other.shape[:axes]}"
        yield error_finding("grid", f"{found}; {remedy}")
        return
    same_spacing = np.allclose(image.spacing, other.spacing, rtol=SAME_SPACING)
    if not (same_spacing and np.allclose(image.affine, other.affine, atol=tolerance_mm)):
        how = _difference(image, other)
        if same_spacing and np.allclose(image.affine, other.affine, atol=SAME_PLACE_MM):
            remedy = "that is rounding, but images with different affines are not loaded: copy the header of one."
        yield error_finding(
            "grid", f"{path} lies otherwise in space than {other_path}: affines differ ({how}); {remedy}"
        )


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


def _same_twice(case: MeasuredCase) -> Iterator[Finding]:
    """An error where all modalities are one image, which is no case of the task; a warning where two are."""
    marks = [image.fingerprint for image in case.facts.images.values()]
    if len(marks) > 1 and marks[0] and len(set(marks)) == 1:
        found = f"{case.name}: {', '.join(case.images)} are all the same image; expected one of each modality"
        yield error_finding("duplicate", f"{found}: correct its list.")
        return
    seen: dict[str, str] = {}
    for modality, image in case.facts.images.items():
        twin = seen.setdefault(image.fingerprint, modality) if image.fingerprint else modality
        if twin != modality:
            sentence = f"{case.name}: {twin} and {modality} are the same image; put the right file in place of one."
            yield warning_finding("duplicate", sentence)


def _segmentation(path: Path, facts: CaseFacts, rules: Rules) -> Iterator[Finding]:
    wrong = _label_values(path, facts, rules)
    if wrong:
        yield wrong
    elif rules.whole and facts.label and not facts.label.foreground:
        found = f"{path} holds no {rules.foreground} at all; look whether that is so."
        yield warning_finding(f"empty {rules.foreground}", found)


def _label_values(path: Path, facts: CaseFacts, rules: Rules) -> Finding | None:
    """An error where a segmentation holds a value that is no label."""
    if facts.label_file is not None and facts.label_file.not_finite:
        found = _not_finite(facts.label_file)
        return error_finding("label values", f"{path} holds {found}; give each its label, or export it again.")
    if rules.labels is None or facts.label is None:
        return None
    outside = [value for value in facts.label.counts if value not in set(map(str, rules.labels))]
    if not outside:
        return None
    shown = ", ".join(outside[:8]) + (", ..." if len(outside) > 8 else "")
    return error_finding(
        "label values",
        f"{path} holds the label values {shown}, which {rules.scheme or 'the task'} does not know (it has "
        f"{', '.join(map(str, rules.labels))}); state the right label_scheme in the list or correct the file.",
    )
