"""Reading one image file whole: NIfTI volumes, and 2D images (PNG, JPEG, TIFF). Every mistake is one sentence."""

import logging
import math
import warnings
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from fedmed.core.errors import InputError

NIFTI_2 = (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")
"""The first bytes of a file of the second version: the length of its header, 540, in either order of bytes."""

DICOM = b"DICM"
"""The word after the first 128 bytes of a DICOM file (PS3.10, section 7.1)."""

MOST_PIXELS = 89_478_485
"""A picture with more is none of medicine's; Pillow's own limit, from which on it only warns."""
warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)

GZIP = b"\x1f\x8b"

NIFTI_MAGIC = {348: slice(344, 348), 540: slice(4, 8)}
"""The place of the word for NIfTI in a header of either length."""

NO_MM = {1: "metres", 3: "micrometres"}
"""The units of length that NIfTI knows besides mm (2) and not stated (0), by their codes."""

LEAST_INDEPENDENT = 0.01
"""The volume that an affine gives a voxel, as a share of the product of its edges: 1 where all angles are right."""

SAME_PLACE_MM = 0.01
"""The most by which two headers may differ about one place, for the rounding of the programs that wrote them."""

SAME_SPACING = 1e-3
"""The same of two spacings, as a share: half a voxel in 500."""

logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # errors in a header are raised here

Read = TypeVar("Read")

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")

ENDINGS = (".nii", ".nii.gz", *PICTURES)
"""The endings, in lower case, of the names of files that can be read."""


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
    """Read a file to its last voxel; a compressed one's checksum is verified.

    Raises:
        InputError: the file is missing, damaged, truncated, of a kind that is not read here, named as another kind, or
            its header does not place its voxels in mm.
    """
    content = content_of(path)
    if has_dicom_word(content):
        raise InputError(
            f"{path} is a DICOM file; expected NIfTI volumes (.nii.gz), one a modality, skull-stripped and on one "
            "grid: convert the series first, for example with dcm2niix."
        )
    return _picture(path, content) if path.suffix.lower() in PICTURES else _volume(path, content)


def content_of(path: Path) -> bytes:
    """The bytes of a file that has some.

    Raises:
        InputError: it is missing, cannot be read, or is empty.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); copy it again or correct the list.") from error
    if not content:
        raise InputError(f"{path} is empty (0 bytes); copy it again.")
    return content


def is_dicom(path: Path) -> bool:
    """True for a DICOM file of any name."""
    with path.open("rb") as file:
        return has_dicom_word(file.read(132))


def has_dicom_word(content: bytes) -> bool:
    """True where a file's first bytes are those of DICOM."""
    return content[128:132] == DICOM


def _volume(path: Path, content: bytes) -> ImageFile:
    unpacked = _unpacked(path, content)
    kind = nib.Nifti2Image if unpacked[:4] in NIFTI_2 else nib.Nifti1Image
    _require_nifti(path, unpacked, compressed=unpacked is not content)
    image = attempt(path, "as NIfTI", lambda: kind.from_bytes(unpacked))
    _require_voxels(path, image, len(unpacked))
    voxels = attempt(path, "to its end", lambda: np.asarray(image.dataobj))
    if voxels.dtype.kind not in "biuf":
        raise InputError(f"{path} holds {voxels.dtype} values; expected one plain number a voxel: export it again.")
    stated = kind.header_class(unpacked[: kind.header_class.template_dtype.itemsize], check=False)  # nibabel mends it
    _require_place(path, image, np.abs(stated["pixdim"][1 : 1 + min(3, voxels.ndim)]))
    zooms = tuple(float(zoom) for zoom in image.header.get_zooms())
    return ImageFile(voxels, voxels.ndim, _affine(path, image, zooms[:3]), zooms)


def _require_nifti(path: Path, unpacked: bytes, compressed: bool) -> None:
    if compressed and unpacked[:2] == GZIP:
        raise InputError(f"{path} is compressed twice; unpack it once, for example with gunzip.")
    length = int.from_bytes(unpacked[:4], "big" if unpacked[:1] == b"\0" else "little")
    if length not in NIFTI_MAGIC:
        raise InputError(f"{path} is no NIfTI file; export or copy it again.")
    if len(unpacked) < length:
        raise InputError(f"{path} cannot be read to its end: truncated within its header; copy it again.")
    if unpacked[NIFTI_MAGIC[length]][:3] not in (b"n+1", b"n+2"):
        raise InputError(f"{path} is no NIfTI file of header and voxels in one; export or copy it again.")
    ending = ".nii.gz" if compressed else ".nii"
    if not path.name.lower().endswith(ending):  # training goes by the name
        found, other = ("compressed", "unpack it") if compressed else ("not compressed", "compress it with gzip")
        raise InputError(f"{path} is {found}; expected a name that ends in {ending}: rename it, or {other}.")


def _require_voxels(path: Path, image: Any, size: int) -> None:
    """Refuse, before memory is asked for, a header that promises more voxels than the file of ``size`` bytes has."""
    shape, header = image.shape, image.header
    if not shape or min(shape) < 1:
        raise InputError(f"{path} has no voxels (its shape is {shape}); export it again.")
    needed = float(header["vox_offset"]) + math.prod(map(int, shape)) * int(header["bitpix"]) / 8
    if not needed <= size:  # nor a number that is none
        raise InputError(
            f"{path} cannot be read to its end ({needed:.0f} bytes stated for {shape} voxels, {size} there): "
            "truncated or damaged; copy it again."
        )


def _require_place(path: Path, image: Any, pixdim: NDArray[Any]) -> None:
    """Refuse a header that does not place the voxels in the patient, in mm."""
    header = image.header
    unit = NO_MM.get(int(header["xyzt_units"]) % 8)
    if unit:
        raise InputError(f"{path} states its lengths in {unit}; expected mm: convert its header to mm.")
    affine = np.asarray(image.affine, dtype=np.float64)[:3, :3]
    with np.errstate(all="ignore"):
        edges = np.linalg.norm(affine, axis=0)
        share = abs(np.linalg.det(affine)) / edges.prod()
    sized = np.isfinite(pixdim).all() and pixdim.all() and np.isfinite(image.affine).all()
    if not (sized and share > LEAST_INDEPENDENT and (header["sform_code"] or header["qform_code"])):
        raise InputError(
            f"{path}: its header does not say where its voxels lie (spacing {_shown(pixdim)} mm, sform code "
            f"{header['sform_code']}, qform code {header['qform_code']}, affine {affine.tolist()}); expected finite "
            "lengths above 0 along three directions: correct its header or export it again."
        )


def _affine(path: Path, image: Any, zooms: tuple[float, ...]) -> NDArray[np.float64]:
    """The affine by which training places the voxels: as in MONAI the qform, unless the spacing is the affine's."""
    affine = np.asarray(image.affine, dtype=np.float64)
    edges = np.linalg.norm(affine[:3, : len(zooms)], axis=0)
    if np.allclose(zooms, edges):
        return affine
    qform = np.asarray(attempt(path, "as NIfTI", image.get_qform), dtype=np.float64)
    if not np.allclose(qform, affine, rtol=SAME_SPACING, atol=SAME_PLACE_MM):
        raise InputError(
            f"{path} states a spacing of {_shown(zooms)} mm, but its affine one of {_shown(edges)} mm (or they place "
            "it otherwise); expected the same: correct its header or export it again."
        )
    return qform


def _shown(lengths: Iterable[float]) -> str:
    return " x ".join(f"{length:.4g}" for length in lengths)


def _unpacked(path: Path, content: bytes) -> bytes:
    """The contents of a compressed file; what stands behind the compressed stream is passed over, as by nibabel."""
    if content[:2] != GZIP:
        return content
    parts, left = [], content
    while left[:2] == GZIP:
        stream = zlib.decompressobj(wbits=31)  # gzip, whose checksum it verifies
        try:
            parts.append(stream.decompress(left))
        except zlib.error as error:
            raise InputError(f"{path} cannot be read to its end ({error}): damaged; copy it again.") from error
        if not stream.eof:
            raise InputError(f"{path} cannot be read to its end: truncated; copy it again.")
        left = stream.unused_data
    return b"".join(parts)


def _picture(path: Path, content: bytes) -> ImageFile:
    return ImageFile(np.asarray(decoded_picture(path, content)), dimensions=2)


def decoded_picture(path: Path, content: bytes) -> PillowImage.Image:
    """The one image of a PNG, JPEG or TIFF file, decoded to its last pixel, in the file's own mode.

    Raises:
        InputError: it cannot be decoded, has more than ``MOST_PIXELS`` pixels, or several pages.
    """

    def decode() -> PillowImage.Image:
        image = PillowImage.open(BytesIO(content))
        pixels, pages = image.width * image.height, getattr(image, "n_frames", 1)
        if pixels > MOST_PIXELS:
            raise InputError(f"{path} has {pixels} pixels; expected at most {MOST_PIXELS}: export it again.")
        if pages > 1:
            raise InputError(f"{path} holds {pages} pages; expected one image a file: export each alone.")
        image.load()
        return image

    return attempt(path, "as an image", decode)


def attempt(path: Path, how: str, read: Callable[[], Read]) -> Read:
    """The answer of ``read``, in which a library reads a file; whatever it raises is one sentence.

    Raises:
        InputError: it raised something.
    """
    try:
        return read()
    except InputError:
        raise
    except Exception as error:  # the libraries raise many kinds for what is not of their format
        reason = " ".join(str(error).split()) or type(error).__name__
        reason = "of another format" if isinstance(error, UnidentifiedImageError) else reason
        raise InputError(f"{path} cannot be read {how} ({reason:.120}); export or copy it again.") from error
