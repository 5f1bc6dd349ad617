"""Reading one image file whole: NIfTI volumes, and 2D images (PNG, JPEG, TIFF). Every mistake is one sentence."""

import gzip
import math
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from fedmed.errors import InputError

NIFTI_2 = (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")
"""How a file of the second version begins: the length of its header, 540, in either order of bytes."""

DICOM = b"DICM"
"""What stands after the first 128 bytes of a DICOM file (PS3.10, section 7.1)."""

MOST_PIXELS = 89_478_485
"""A picture with more is none of medicine's; Pillow's own limit, from which on it only warns."""
warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


@dataclass(frozen=True)
class ImageFile:
    """An image as it is stored.

    ``voxels`` is (X, Y, Z) for a volume and (H, W) or (H, W, channels) for a 2D image. ``affine`` (4, 4) leads from
    voxels to mm in RAS+ space, ``spacing`` is in mm; a 2D image has neither.
    """

    voxels: NDArray[Any]
    dimensions: int
    affine: NDArray[np.float64] | None = None
    spacing: tuple[float, ...] = ()


def read_image(path: Path) -> ImageFile:
    """Read a file to its last byte; a compressed one's checksum is verified.

    Raises:
        InputError: the file is missing, damaged, truncated, or of a kind that is not read here.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); copy it again or correct the list.") from error
    if not content:
        raise InputError(f"{path} is empty (0 bytes); copy it again.")
    if content[128:132] == DICOM:
        raise InputError(
            f"{path} is a DICOM file; expected NIfTI volumes (.nii.gz), one a modality, skull-stripped and on one "
            "grid: convert the series first, for example with dcm2niix."
        )
    return _picture(path, content) if path.suffix.lower() in PICTURES else _volume(path, content)


def is_dicom(path: Path) -> bool:
    """Whether a file, whatever its name, is DICOM."""
    with path.open("rb") as file:
        return file.read(132)[128:] == DICOM


def _volume(path: Path, content: bytes) -> ImageFile:
    unpacked = _unpacked(path, content)
    kind = nib.Nifti2Image if unpacked[:4] in NIFTI_2 else nib.Nifti1Image
    image = _attempt(path, "as NIfTI", lambda: kind.from_bytes(unpacked))
    voxels = _attempt(path, "to its end", lambda: np.asarray(image.dataobj))
    if voxels.dtype.kind not in "biuf":
        raise InputError(f"{path} holds {voxels.dtype} values; expected one plain number a voxel: export it again.")
    zooms = tuple(float(zoom) for zoom in image.header.get_zooms())
    affine = np.asarray(image.affine, dtype=np.float64)
    if not (np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 0 and all(map(_is_length, zooms[:3]))):
        raise InputError(
            f"{path} does not say where its voxels lie (spacing {zooms[:3]} mm, affine {affine[:3].tolist()}); "
            "expected finite lengths above 0: correct its header or export it again."
        )
    return ImageFile(voxels, voxels.ndim, affine, zooms)


def _is_length(millimetres: float) -> bool:
    return 0 < millimetres < math.inf


def _unpacked(path: Path, content: bytes) -> bytes:
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path} cannot be read to its end ({error}): truncated or damaged; copy it again.") from error


def _picture(path: Path, content: bytes) -> ImageFile:
    def decode() -> NDArray[Any]:
        with PillowImage.open(BytesIO(content)) as image:
            pixels, pages = image.width * image.height, getattr(image, "n_frames", 1)
            if pixels > MOST_PIXELS:
                raise InputError(f"{path} has {pixels} pixels; expected at most {MOST_PIXELS}: export it again.")
            if pages > 1:
                raise InputError(f"{path} holds {pages} pages; expected one image a file: export each alone.")
            return np.asarray(image)

    return ImageFile(_attempt(path, "as an image", decode), dimensions=2)


def _attempt(path: Path, how: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except InputError:
        raise
    except Exception as error:  # the libraries raise many kinds for what is not of their format
        reason = " ".join(str(error).split()) or type(error).__name__
        reason = "of another format" if isinstance(error, UnidentifiedImageError) else reason
        raise InputError(f"{path} cannot be read {how} ({reason:.120}); export or copy it again.") from error
