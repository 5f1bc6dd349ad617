"""The image of a DICOM file of one frame, as a viewer shows it first."""

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_windowing

from fedmed.core.errors import InputError
from fedmed.data.image_file import MOST_PIXELS, attempt

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT")
PALETTE = "PALETTE COLOR"

FAR = 1e12
"""A value beyond every window."""


def dicom_slice(path: Path, content: bytes) -> NDArray[np.uint8]:
    """The image (H, W) in grey, 0 for black, or (H, W, 3) in RGB.

    Grey values are rescaled by the modality's transform and then by the first VOI LUT or window, whose whole range is
    0 to 255; without one the least value is 0 and the greatest 255. MONOCHROME1, whose low values are bright, is
    inverted. Windows of single frames in the functional groups of enhanced objects are not looked for.

    Args:
        path: for sentences.
        content: of the file; the word for DICOM may be missing, as in files of old programs.

    Raises:
        InputError: the file is damaged, has no pixels or several frames, or they are stored in a way that is not read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on values that pydicom corrects, such as a date's form
        stored, values = stored_slice(path, content)
        photometric = str(stored.PhotometricInterpretation)
        return attempt(path, "as DICOM", lambda: _shown(values, stored, photometric))


def stored_slice(path: Path, content: bytes) -> tuple[pydicom.Dataset, NDArray[Any]]:
    """The elements of a DICOM file of one frame, and its values (H, W) as stored, or (H, W, 3) in RGB.

    Arguments and errors are those of :func:`dicom_slice`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stored = attempt(path, "as DICOM", lambda: pydicom.dcmread(BytesIO(content), force=True))
        attempt(path, "as DICOM", lambda: _require_one_frame(path, stored))
        return stored, attempt(path, "as DICOM", lambda: _decoded(path, stored))


def _require_one_frame(path: Path, stored: pydicom.Dataset) -> None:
    """Refuse a file that is no single image in colours that are known."""
    if not any(name in stored for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise InputError(f"{path} is DICOM without pixels, or no DICOM; expected an image: export the slice again.")
    frames = int(stored.get("NumberOfFrames") or 1)
    if frames > 1:
        raise InputError(f"{path} holds {frames} frames; expected a DICOM file of one: export the slice alone.")
    pixels = int(stored.get("Rows") or 0) * int(stored.get("Columns") or 0)
    if not 0 < pixels <= MOST_PIXELS:
        raise InputError(f"{path} has {pixels} pixels; expected 1 to {MOST_PIXELS}: export it again.")
    photometric = str(stored.get("PhotometricInterpretation", "none"))
    known = (*GREY, *COLOUR, PALETTE)
    if photometric not in known:
        raise InputError(
            f"{path} has the photometric interpretation {photometric}; expected one of {', '.join(known)}: export it "
            "as one of these."
        )


def _decoded(path: Path, stored: pydicom.Dataset) -> NDArray[Any]:
    """The stored values, colours as RGB."""
    try:
        return stored.pixel_array
    except RuntimeError as error:  # of pydicom for a compression without a program that undoes it, or damaged data
        syntax = stored.file_meta.TransferSyntaxUID
        raise InputError(
            f"{path} is compressed as {syntax.name}, and cannot be unpacked here; expected uncompressed pixels, RLE, "
            "JPEG or JPEG 2000: export it uncompressed, for example with gdcmconv --raw."
        ) from error


def _shown(values: NDArray[Any], stored: pydicom.Dataset, photometric: str) -> NDArray[np.uint8]:
    if photometric in GREY:
        grey = _grey(values, stored)
        return np.asarray(255 - grey if photometric == "MONOCHROME1" else grey, dtype=np.uint8)
    if photometric == PALETTE:
        values = apply_color_lut(values, stored)
        return as_bytes(values, 0, np.iinfo(values.dtype).max)
    return as_bytes(values, 0, 2 ** int(stored.BitsStored) - 1)


def _grey(values: NDArray[Any], stored: pydicom.Dataset) -> NDArray[np.uint8]:
    """Grey values by the file's own window, over that window's range."""
    rescaled = apply_modality_lut(values, stored)
    if stored.get("VOILUTSequence"):
        return _looked_up(rescaled, stored.VOILUTSequence[0])
    if stored.get("WindowCenter") is None or stored.get("WindowWidth") is None:
        return stretched(rescaled)
    with np.errstate(over="ignore"):
        least, most = apply_windowing(np.array([-FAR, FAR]), stored)
    return as_bytes(apply_windowing(rescaled, stored), float(least), float(most))


def _looked_up(values: NDArray[Any], table: pydicom.Dataset) -> NDArray[np.uint8]:
    """Values by a VOI LUT (PS3.3 C.11.2.1.1). pydicom 3.0.2 has it too, but counts an 8-bit table's entries to 255."""
    _, first, bits = (int(number) for number in table.LUTDescriptor)
    data = table.LUTData
    entries = np.frombuffer(data, np.uint16) if isinstance(data, bytes) else np.asarray(data, dtype=np.uint16)
    places = (np.rint(values) - first).clip(0, len(entries) - 1).astype(np.int64)
    return as_bytes(entries[places], 0, 2**bits - 1)


def stretched(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Values over their own range, as 0 to 255; all 0 where they are one.

    Raises:
        ValueError: some are not finite.
    """
    if not np.isfinite(values).all():
        raise ValueError("NaN or infinite values")
    return as_bytes(values, float(values.min()), float(values.max()))


def as_bytes(values: NDArray[Any], black: float, white: float) -> NDArray[np.uint8]:
    """Values from ``black`` to ``white`` as 0 to 255; all 0 where the two are one."""
    share = (values.astype(np.float64) - black) / (white - black) if white != black else np.zeros(values.shape)
    return np.rint(255 * share.clip(0, 1)).astype(np.uint8)
