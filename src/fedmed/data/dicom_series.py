"""A volume of a DICOM series, one file a slice: its values, and where they lie in the patient."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels import apply_modality_lut
from scipy import ndimage

from fedmed.core.errors import InputError, counted
from fedmed.data.dicom_slice import GREY, stored_slice
from fedmed.data.image_file import attempt, content_of, is_dicom

PLACE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
"""The elements that place a slice in the patient."""

DIRECTORY = "DICOMDIR"
"""The name of DICOM's own table of contents, which is a DICOM file without an image."""

TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From DICOM's axes, to the left and back, to those of NIfTI, to the right and front."""

SAME_DIRECTION = 1e-3
"""The most by which direction cosines of one series may differ."""

UNEVEN = 0.05
"""The most by which a distance of slices may differ from the usual one, as a share."""

SAME_PLACE = 0.1
"""The most by which a voxel's place may differ in two series on one grid, as a share of a pixel."""

MOST_NAMED = 6
"""Series that a sentence names."""


@dataclass(frozen=True)
class DicomSeries:
    """A series in the order of its slices along their normal.

    Attributes:
        files: one a slice.
        values: (S, H, W) float32, rescaled, high ones bright.
        affine: (4, 4) from (column, row, slice) to mm in RAS+ space.
        frame: the identifier of the coordinates' frame of reference; empty where none is stated.
        patient: the identifier of the patient, for comparisons alone; empty where none is stated.
    """

    files: tuple[Path, ...]
    values: NDArray[np.float32]
    affine: NDArray[np.float64]
    frame: str
    patient: str


class Slice(NamedTuple):
    """One file of a series: its elements, and its values (H, W)."""

    path: Path
    stored: pydicom.Dataset
    values: NDArray[np.float32]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """The numbers of an element."""
        found = attempt(self.path, "as DICOM", lambda: np.array([float(each) for each in self.stored[name].value]))
        return np.asarray(found, dtype=np.float64)

    def text(self, name: str) -> str:
        """An element as text; empty where it is missing."""
        return str(self.stored.get(name) or "").strip()


def read_series(path: Path) -> DicomSeries:
    """The series whose files lie in a folder, or that has one file.

    Raises:
        InputError: there is no DICOM file, one cannot be read, they are of several series or patients, or they do not
            make a volume of slices that lie in equal distances.
    """
    slices = [_read(each) for each in _files(path)]
    _require_one(path, slices)
    _require_places(slices)
    columns, rows = slices[0].numbers("ImageOrientationPatient").reshape(2, 3)
    normal = np.cross(columns, rows)
    slices.sort(key=lambda each: float(each.numbers("ImagePositionPatient") @ normal))
    places = np.stack([each.numbers("ImagePositionPatient") for each in slices])
    step = _step(path, slices[0], places, normal)
    row_mm, column_mm = slices[0].numbers("PixelSpacing")
    affine = np.eye(4)
    affine[:3] = np.stack([columns * column_mm, rows * row_mm, step, places[0]], axis=1)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < np.finfo(np.float32).tiny:
        raise InputError(
            f"{slices[0].path} places its pixels nowhere (its spacing is 0, or no number); export it again."
        )
    return DicomSeries(
        files=tuple(each.path for each in slices),
        values=np.stack([each.values for each in slices]),
        affine=TO_RAS @ affine,
        frame=slices[0].text("FrameOfReferenceUID"),
        patient=slices[0].text("PatientID"),
    )


def on_grid_of(series: DicomSeries, like: DicomSeries) -> tuple[NDArray[np.float32], float]:
    """The values (S, H, W) of a series at the voxels of another one, and the share of these that it covers.

    On one grid they are its own, to the bit; else they are interpolated linearly. Beyond the series they are its least.

    Raises:
        InputError: the two are of different patients, or differ in their grids without a common frame of reference.
    """
    if series.patient != like.patient:
        raise InputError(
            f"{series.files[0].parent} and {like.files[0].parent} are series of different patients by their PatientID; "
            "expected one patient's."
        )
    if _one_grid(series, like):
        return series.values, 1.0
    if not series.frame or series.frame != like.frame:
        raise InputError(
            f"{series.files[0].parent} lies on another grid than {like.files[0].parent}, and they state no common "
            "frame of reference; expected series of one examination: register them to one another first."
        )
    into = np.linalg.inv(series.affine) @ like.affine
    depth, height, width = like.values.shape
    rows, columns = (each.ravel() for each in np.mgrid[:height, :width])
    last = np.array(series.values.shape)[:, None] - 0.5
    made, covered = np.full(like.values.shape, series.values.min(), np.float32), 0
    for place in range(depth):
        points = np.stack([columns, rows, np.full(rows.shape, place)])
        at = (into[:3, :3] @ points + into[:3, 3:])[::-1]
        inside = ((at >= -0.5) & (at <= last)).all(axis=0)
        made[place].ravel()[inside] = ndimage.map_coordinates(series.values, at[:, inside], order=1, mode="nearest")
        covered += int(inside.sum())
    return made, covered / made.size


def _files(path: Path) -> list[Path]:
    """A file, or the DICOM files of a folder; hidden ones and other kinds are passed over."""
    if not path.is_dir():
        return [path]
    files = [each for each in sorted(path.iterdir()) if each.is_file() and not each.name.startswith(".")]
    found = [each for each in files if each.name != DIRECTORY and is_dicom(each)]
    if not found:
        raise InputError(
            f"{path} holds no DICOM file; expected the folder of one series: give that, or one of its files."
        )
    return found


def _read(path: Path) -> Slice:
    stored, values = stored_slice(path, content_of(path))
    if stored.PhotometricInterpretation not in GREY:
        raise InputError(f"{path} is in colour; expected a slice of MR in grey: give the series as it was acquired.")
    rescaled = attempt(path, "as DICOM", lambda: np.asarray(apply_modality_lut(values, stored), dtype=np.float32))
    return Slice(path, stored, -rescaled if stored.PhotometricInterpretation == "MONOCHROME1" else rescaled)


def _require_one(path: Path, slices: Sequence[Slice]) -> None:
    """Refuse files of several series or patients."""
    series = {each.text("SeriesInstanceUID"): each for each in slices}
    if len(series) > 1:
        named = [
            f"{each.text('SeriesNumber') or '?'} {each.text('SeriesDescription')}".strip() for each in series.values()
        ]
        more = ", ..." if len(named) > MOST_NAMED else ""
        raise InputError(
            f"{path} holds {len(series)} series ({', '.join(named[:MOST_NAMED])}{more}); expected one: put each in a "
            "folder of its own."
        )
    if len({each.text("PatientID") for each in slices}) > 1:
        raise InputError(f"{path} holds slices of several patients by their PatientID; expected one patient's.")


def _require_places(slices: Sequence[Slice]) -> None:
    """Refuse slices that are not placed in the patient, or not on one grid."""
    first = slices[0]
    for each in slices:
        missing = [name for name in PLACE if each.stored.get(name) is None]
        if missing:
            raise InputError(
                f"{each.path} lacks {', '.join(missing)}, so that its place in the patient is not known; expected a "
                "slice as the scanner made it: export it as DICOM again, or as a picture."
            )
        if each.values.shape != first.values.shape:
            raise InputError(
                f"{each.path} is {_size(each)} pixels, but {first.path} is {_size(first)}; expected slices of one "
                "size: give one series alone."
            )
        for name, tolerance in (("ImageOrientationPatient", SAME_DIRECTION), ("PixelSpacing", SAME_DIRECTION)):
            if not np.allclose(each.numbers(name), first.numbers(name), rtol=tolerance, atol=tolerance):
                raise InputError(
                    f"{each.path} and {first.path} differ in {name}; expected parallel slices of one series: take the "
                    "localizer out."
                )


def _step(path: Path, first: Slice, places: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The way in mm (3,) from a slice to the next."""
    if len(places) == 1:
        thickness = first.text("SpacingBetweenSlices") or first.text("SliceThickness")
        if not thickness:
            raise InputError(f"{first.path} states no SliceThickness; expected it of a slice alone: give its series.")
        return normal * attempt(first.path, "as DICOM", lambda: abs(float(thickness)))
    gaps = np.diff(places @ normal)
    usual = float(np.median(gaps))
    if not gaps.min() > SAME_DIRECTION:
        raise InputError(
            f"{path} holds several slices of one place; expected one: give each time or echo in a folder of its own."
        )
    if np.abs(gaps - usual).max() > UNEVEN * usual:
        raise InputError(
            f"{path}: the slices lie {gaps.min():.2f} to {gaps.max():.2f} mm apart; expected equal distances: add the "
            f"slices that are missing to the {counted(len(places), 'slice')}."
        )
    return np.asarray((places[-1] - places[0]) / (len(places) - 1), dtype=np.float64)


def _one_grid(one: DicomSeries, other: DicomSeries) -> bool:
    """True where every voxel of two series lies in the same place."""
    if one.values.shape != other.values.shape:
        return False
    depth, height, width = one.values.shape
    corners = np.array([(c, r, s, 1) for c in (0, width - 1) for r in (0, height - 1) for s in (0, depth - 1)]).T
    apart = np.linalg.norm((one.affine - other.affine)[:3] @ corners, axis=0).max()
    return bool(apart <= SAME_PLACE * np.linalg.norm(other.affine[:3, :2], axis=0).min())


def _size(each: Slice) -> str:
    height, width = each.values.shape
    return f"{width} x {height}"


def spacing_of(affine: NDArray[Any]) -> tuple[float, ...]:
    """The edges of a voxel in mm, along the three axes of an affine (4, 4)."""
    return tuple(float(edge) for edge in np.linalg.norm(affine[:3, :3], axis=0))
