"""Measurements of a case's files: numbers from which all findings follow, small enough to be cached."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from fedmed.data.audit.fingerprint import fingerprint
from fedmed.data.dicom_slice import dicom_slice
from fedmed.data.image_file import ImageFile, content_of, read_image
from fedmed.data.picture_file import DICOM_ENDINGS
from fedmed.data.prepared.content_key import content_key

FACTS_VERSION = "case facts 2"
"""Part of the key of cached facts; another number forgets those of earlier versions."""

MOST_LABEL_VALUES = 32
"""A file with more is an image in a label's place; so many are enough to show it."""


@dataclass(frozen=True)
class Intensities:
    """The voxels other than 0; all in the file's units."""

    minimum: float
    p1: float
    median: float
    p99: float
    maximum: float
    mean: float
    std: float
    different: int  # number of different values


@dataclass(frozen=True)
class ImageFacts:
    """One file. ``affine`` and ``spacing`` (mm) are empty for a 2D image."""

    shape: tuple[int, ...]
    dimensions: int
    dtype: str
    spacing: tuple[float, ...]
    orientation: str  # of the axes, such as LPS
    affine: tuple[tuple[float, ...], ...]
    not_finite: int  # voxels that are NaN or infinite, as float32
    zeros: int  # voxels that are exactly 0
    intensities: Intensities | None  # None when every voxel is 0 or not finite
    fingerprint: str | None

    @property
    def voxels(self) -> int:
        return int(np.prod(self.shape, dtype=int))

    @property
    def tissue(self) -> int:
        """Voxels that are finite and not 0."""
        return self.voxels - self.zeros - self.not_finite

    @property
    def unit(self) -> str:
        """The name of one point of the image's grid."""
        return "pixel" if self.dimensions == 2 else "voxel"

    @property
    def voxel_ml(self) -> float | None:
        """The volume of a voxel in ml; None for a 2D image."""
        return float(np.prod(self.spacing)) / 1000 if self.dimensions == 3 and self.spacing else None


@dataclass(frozen=True)
class LabelFacts:
    """The values of a segmentation, beside the facts of its file."""

    counts: Mapping[str, int]  # voxels of each value; at most MOST_LABEL_VALUES of them
    outside: int | None  # voxels above 0 where every image is 0; None where shapes differ

    @property
    def foreground(self) -> int:
        """Voxels of a value other than 0."""
        return sum(count for value, count in self.counts.items() if value != "0")


@dataclass(frozen=True)
class CaseFacts:
    """A case: its images by the name of the modality, and its segmentation if its target is one."""

    images: Mapping[str, ImageFacts]
    label_file: ImageFacts | None
    label: LabelFacts | None
    unlike_masks: float  # largest share of the images' common non-zero voxels that one of them lacks; 0 to 1

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "CaseFacts":
        document = json.loads(text)
        label_file, label = document["label_file"], document["label"]
        return cls(
            images={name: _image_from(facts) for name, facts in document["images"].items()},
            label_file=None if label_file is None else _image_from(label_file),
            label=None if label is None else LabelFacts(**label),
            unlike_masks=document["unlike_masks"],
        )


class Store(Protocol):
    """A store of facts between runs; it may forget any of them."""

    def read(self, name: str) -> bytes | None: ...

    def write(self, name: str, content: bytes) -> bool: ...


class FactsBook:
    """Measures each case once, by the contents of its files; with a store also across processes and runs."""

    def __init__(self, store: Store | None = None) -> None:
        self._store = store
        self._known: dict[str, CaseFacts] = {}
        self._locks: dict[str, Lock] = {}

    def of(self, images: Mapping[str, Path], label: Path | None) -> CaseFacts:
        """The facts of a case.

        Raises:
            InputError: a file cannot be read to its end.
        """
        files = [*images.values(), *([] if label is None else [label])]
        key = content_key(files, " ".join([FACTS_VERSION, *images, *(path.suffix for path in files)]))
        with self._locks.setdefault(key, Lock()):  # another thread may be at the same case of another list
            if key not in self._known:
                self._known[key] = self._stored(key) or self._measured(key, images, label)
        return self._known[key]

    def _stored(self, key: str) -> CaseFacts | None:
        content = self._store.read(f"{key}.json") if self._store is not None else None
        try:
            return CaseFacts.from_json(content.decode()) if content else None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None  # damaged: measured anew and replaced

    def _measured(self, key: str, images: Mapping[str, Path], label: Path | None) -> CaseFacts:
        facts = case_facts(images, label)
        if self._store is not None:
            self._store.write(f"{key}.json", facts.to_json().encode())
        return facts


def case_facts(images: Mapping[str, Path], label: Path | None) -> CaseFacts:
    """Read and measure every file of a case, one image in memory at a time.

    Raises:
        InputError: a file cannot be read to its end.
    """
    facts: dict[str, ImageFacts] = {}
    masks: list[NDArray[np.bool_]] = []
    for name, path in images.items():
        image = _read(path)
        facts[name] = image_facts(image)
        masks.append(_tissue(image))
    alike = len({mask.shape for mask in masks}) == 1
    common = np.logical_or.reduce(masks) if alike else None
    unlike = _unlike(masks, common) if common is not None else 0.0
    if label is None:
        return CaseFacts(facts, None, None, unlike)
    segmentation = read_image(label)
    return CaseFacts(facts, image_facts(segmentation), label_facts(segmentation.voxels, common), unlike)


def _read(path: Path) -> ImageFile:
    """The image of a file; of a DICOM one, by its name, as a viewer shows it."""
    if path.suffix.lower() in DICOM_ENDINGS:
        return ImageFile(dicom_slice(path, content_of(path)), dimensions=2)
    return read_image(path)


def image_facts(image: ImageFile) -> ImageFacts:
    """Measure one image, its fractions as float32, in which networks take them: 1e300 is infinite there."""
    voxels = image.voxels
    if voxels.dtype.kind == "f":
        with np.errstate(over="ignore"):
            voxels = voxels.astype(np.float32)
    finite = voxels if voxels.dtype.kind in "iub" else voxels[np.isfinite(voxels)]
    values, counts = _counted(finite[finite != 0])
    affine = image.affine
    return ImageFacts(
        shape=tuple(voxels.shape),
        dimensions=image.dimensions,
        dtype=str(image.voxels.dtype),
        spacing=image.spacing,
        orientation="" if affine is None else "".join(code or "?" for code in nib.aff2axcodes(affine)),
        affine=() if affine is None else tuple(tuple(float(v) for v in row) for row in affine),
        not_finite=voxels.size - finite.size,
        zeros=int(finite.size - counts.sum()),
        intensities=_intensities(values.astype(np.float64), counts),
        fingerprint=fingerprint(values, counts),
    )


def _counted(voxels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The different values in ascending order, and how often each occurs; of bytes without sorting them."""
    if voxels.dtype != np.uint8:
        return np.unique(voxels, return_counts=True)
    every = np.bincount(voxels.ravel(), minlength=256)
    values = np.flatnonzero(every)
    return values.astype(np.uint8), every[values]


def label_facts(voxels: NDArray[Any], tissue: NDArray[np.bool_] | None) -> LabelFacts:
    """Count a segmentation's values, and its voxels above 0 outside ``tissue`` (of the same shape)."""
    values, counts = np.unique(voxels, return_counts=True)
    shown = {shown_value(value): int(count) for value, count in zip(values[:MOST_LABEL_VALUES], counts, strict=False)}
    comparable = tissue is not None and tissue.shape == voxels.shape
    return LabelFacts(shown, int(np.count_nonzero((voxels > 0) & ~tissue)) if comparable else None)  # type: ignore[operator]


def shown_value(value: Any) -> str:
    """A label's value as text, another for any other value: whole numbers without a point."""
    number = float(value)
    return str(int(number)) if number.is_integer() else repr(number)


def _intensities(values: NDArray[np.float64], counts: NDArray[np.int64]) -> Intensities | None:
    """The figures of the distribution in which ``values`` (ascending) occur ``counts`` times."""
    if not len(values):
        return None
    below = counts.cumsum()
    p1, median, p99 = (float(values[np.searchsorted(below, share * below[-1])]) for share in (0.01, 0.5, 0.99))
    mean = float(np.average(values, weights=counts))
    std = float(np.sqrt(np.average((values - mean) ** 2, weights=counts)))
    return Intensities(float(values[0]), p1, median, p99, float(values[-1]), mean, std, len(values))


def _unlike(masks: list[NDArray[np.bool_]], common: NDArray[np.bool_]) -> float:
    whole = np.count_nonzero(common)
    return max(1 - int(np.count_nonzero(mask)) / int(whole) for mask in masks) if whole else 0.0


def _tissue(image: ImageFile) -> NDArray[np.bool_]:
    """The mask, over the spatial axes, of an image's values other than 0; of a colour picture in any channel."""
    mask = np.asarray(image.voxels != 0)
    return np.asarray(mask.any(axis=-1)) if image.voxels.ndim > image.dimensions else mask


def _image_from(facts: Mapping[str, Any]) -> ImageFacts:
    values = dict(facts)
    values["shape"], values["spacing"] = tuple(values["shape"]), tuple(values["spacing"])
    values["affine"] = tuple(tuple(row) for row in values["affine"])
    if values["intensities"] is not None:
        values["intensities"] = Intensities(**values["intensities"])
    return ImageFacts(**values)
