"""A new patient's scan as pixels: slices that are pictures of three channels, or a DICOM series a channel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from fedmed.core.errors import InputError, counted
from fedmed.data.dicom_series import DicomSeries, on_grid_of, read_series
from fedmed.data.image_file import is_dicom
from fedmed.data.lgg.head_volume import CHANNELS, FLAIR, ReadSlices
from fedmed.data.lgg.lgg_layout import SLICE
from fedmed.data.lgg.scan_facts import SMALLEST
from fedmed.data.lgg.slice_files import SLICE_ENDINGS, in_order, is_slice, slices_in

SERIES = dict(zip(("t1", "flair", "t1ce"), CHANNELS, strict=True))
"""The channels by the options that name their DICOM series."""

WHITE_PERCENTILE = 99.9
"""Of a series' values; this one and higher ones are 255, so that a single bright voxel does not darken the others."""

LEAST_COVERED = 0.5
"""The share of FLAIR's voxels that another series must cover."""


@dataclass(frozen=True)
class NewScan:
    """A scan as the network's preparation takes it.

    Attributes:
        name: of the patient, as the files are called.
        files: the slices' own, in their order; of a series those of FLAIR.
        inputs: the files of every channel that were read, for reports.
        pixels: (3, S, H, W) float32 of ``CHANNELS``, 0 to 255.
        affine: (4, 4) from (column, row, slice) to mm in RAS+ space; None where the files do not state it.
        notes: sentences for reports.
    """

    name: str
    files: tuple[Path, ...]
    inputs: Mapping[str, tuple[Path, ...]]
    pixels: NDArray[np.float32]
    affine: NDArray[np.float64] | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PictureSlices:
    """The pictures of one patient's slices in their order; ``whole`` where they are all of a folder."""

    name: str
    files: tuple[Path, ...]
    whole: bool

    def read(self) -> NewScan:
        """Decode the files.

        Raises:
            InputError: one cannot be read, has not three channels, or is of another size, or the scan shows nothing.
        """
        pixels = ReadSlices(("image",))({"image": self.files})["image"].numpy()
        number = counted(len(self.files), "slice")
        alone = f"Given are single slices, not a patient's folder: the volume that was normalised has {number}."
        copied = _copies(pixels)
        return _checked(
            NewScan(
                name=self.name,
                files=self.files,
                inputs={"slices": self.files},
                pixels=pixels,
                affine=None,
                notes=(*(() if self.whole else (alone,)), *copied),
            )
        )


@dataclass(frozen=True)
class SeriesByChannel:
    """The DICOM series of one patient, folders or files by the options of :data:`SERIES`; ``flair`` is one of them."""

    given: Mapping[str, Path]

    @property
    def name(self) -> str:
        return self.given["flair"].name

    def read(self) -> NewScan:
        """Read the series and lead them to the grid of FLAIR's.

        Raises:
            InputError: one cannot be read, they do not fit one another, or the scan shows nothing.
        """
        series = {option: read_series(path) for option, path in self.given.items()}
        flair = series["flair"]
        notes, channels = list[str](), list[NDArray[np.float32]]()
        for option, channel in SERIES.items():
            if option not in series:
                notes.append(f"There is no series for {channel} (--{option}): FLAIR stands in its place.")
            values, note = _fitted(channel, series.get(option, flair), flair)
            channels.append(_as_grey(values))
            notes += note
        if len(flair.files) == 1:
            notes.append("The series, and so the volume that was normalised, has 1 slice.")
        inputs = {SERIES[option]: each.files for option, each in series.items()}
        return _checked(NewScan(self.name, flair.files, inputs, np.stack(channels), flair.affine, tuple(notes)))


def picture_patients(paths: Sequence[Path]) -> list[PictureSlices]:
    """The patients of folders, one each, and of single slices, those of one folder being one patient's.

    Raises:
        InputError: a path does not exist or is no slice, a folder has none, or two patients have one name.
    """
    loose: dict[Path, list[Path]] = {}
    found = list[PictureSlices]()
    for path in dict.fromkeys(paths):
        if path.is_dir():
            found.append(PictureSlices(path.resolve().name, tuple(_required_slices(path)), whole=True))
        else:
            _require_slice(path)
            loose.setdefault(path.parent, []).append(path)
    for folder, files in loose.items():
        _require_one_patient(files)
        found.append(PictureSlices(folder.resolve().name, tuple(in_order(files)), whole=False))
    names = [each.name for each in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"Two of the patients are called {twice}, after their folder; give them one at a time.")
    for each in found:
        _require_one_patient(each.files)
    return found


def _required_slices(folder: Path) -> list[Path]:
    """The slices of a folder, which must have some."""
    slices = slices_in(folder)
    if not slices:
        _refuse_without_slices(folder)
    return slices


def _refuse_without_slices(folder: Path) -> NoReturn:
    """Tell what a folder without slices holds."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    shown = ", ".join(path.name for path in files[:3]) + (", ..." if len(files) > 3 else "") or "no file"
    if any(path.suffix.lower() in SLICE_ENDINGS for path in files):
        raise InputError(f"{folder} holds masks alone ({shown}); expected the slices that they are of: add these.")
    if any(map(is_dicom, files)):
        raise InputError(
            f"{folder} holds DICOM; expected a series a channel: name the folder of each, by --flair, --t1 and --t1ce."
        )
    raise InputError(
        f"{folder} holds no slice (there is {shown}); expected {', '.join(SLICE_ENDINGS)} of one patient, with "
        f"{', '.join(CHANNELS)} as red, green and blue: give the patient's folder."
    )


def _require_slice(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a patient's folder, or slices.")
    if is_dicom(path):
        raise InputError(
            f"{path} is DICOM; expected a series a channel: name it by --flair, and others by --t1, --t1ce."
        )
    if not is_slice(path):
        what = "is a mask by its name" if path.suffix.lower() in SLICE_ENDINGS else "is no slice that can be read"
        raise InputError(f"{path} {what}; expected {', '.join(SLICE_ENDINGS)}: give the slice itself.")


def _require_one_patient(files: Sequence[Path]) -> None:
    """Refuse slices whose names tell different patients, in the set's own way of naming."""
    named = {match["folder"]: path for path in files if (match := SLICE.fullmatch(path.name))}
    if len(named) > 1:
        one, other, *_ = named.values()
        raise InputError(
            f"{one.name} and {other.name} in {one.parent} are of different patients by their names; expected one "
            "patient's slices in a folder, as they are normalised together: separate them."
        )


def _fitted(channel: str, series: DicomSeries, flair: DicomSeries) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """A series' values at FLAIR's voxels, and a sentence where they were interpolated."""
    values, covered = on_grid_of(series, flair)
    if covered < LEAST_COVERED:
        raise InputError(
            f"{series.files[0].parent} covers {covered:.0%} of FLAIR's voxels; expected at least {LEAST_COVERED:.0%}: "
            "give the series of the same region."
        )
    if values is series.values:
        return values, ()
    grid = f"{channel} lies on another grid than FLAIR: interpolated linearly to that"
    return values, (f"{grid}, of which it covers {covered:.0%}.",)


def _as_grey(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values from 0 to 255, one scale for the whole series; all 0 where they are one."""
    low, high = float(values.min()), float(np.percentile(values, WHITE_PERCENTILE))
    if high <= low:
        return np.zeros_like(values)
    return np.asarray(255 * ((values - low) / (high - low)).clip(0, 1), dtype=np.float32)


def _copies(pixels: NDArray[np.float32]) -> tuple[str, ...]:
    """A sentence on the channels that are FLAIR's copies, as a set has them where a sequence is missing."""
    same = [CHANNELS[place] for place in range(3) if place != FLAIR and np.array_equal(pixels[place], pixels[FLAIR])]
    if not same:
        return ()
    return (f"{' and '.join(same)} {'is' if len(same) == 1 else 'are'} the same as FLAIR in every pixel.",)


def _checked(scan: NewScan) -> NewScan:
    """Refuse a scan in which there is nothing to see."""
    height, width = scan.pixels.shape[2:]
    if min(height, width) < SMALLEST:
        raise InputError(
            f"{scan.files[0]} is {width} x {height} pixels; expected at least {SMALLEST} along each edge: give "
            "it whole."
        )
    for channel, values in zip(CHANNELS, scan.pixels, strict=True):
        if values.min() == values.max():
            raise InputError(
                f"{scan.name}: {channel} is one grey level throughout; expected an image: export it again, or put "
                "FLAIR in its place."
            )
    return scan
